/* SPDX-License-Identifier: Apache-2.0 */
#include "control/device_id.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "platform/base/log.h"
#include "platform/file.h"
#include "platform/machine.h"
#include "platform/random.h"

#define MODULE "device"

enum {
    FILE_MAX = 4096,
    PATH_LEN = 512,
    REASON_MAX = 160,
    TRY_MAX = PATH_LEN + REASON_MAX + 64
};

/* Why each way to an id led to none. */
struct tries {
    char read[TRY_MAX], derive[TRY_MAX], generate[TRY_MAX];
};

enum err device_id_parse(char *out, const char *bytes, size_t len)
{
    char sent[IDENTITY_EXTERNAL_ID_MAX + 1];
    json_t *root = json_loadb(bytes, len, 0, NULL);
    const char *id = json_string_value(json_object_get(root, "id"));
    enum err err = id ? identity_external_id(sent, id) : ERR_PARSE;

    if (err == ERR_OK)
        memcpy(out, id, strlen(id) + 1);
    json_decref(root);
    return err == ERR_OK ? ERR_OK : ERR_PARSE;
}

void device_id_random_uuid(char *out)
{
    uint8_t u[16];

    random_bytes(u, sizeof u);
    u[6] = (uint8_t)(0x40 | (u[6] & 0x0f));
    u[8] = (uint8_t)(0x80 | (u[8] & 0x3f));
    snprintf(out, DEVICE_ID_UUID_LEN + 1,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
             u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
             u[15]);
}

/* The file has its rights only if it holds an id. */
static enum err from_open_file(char *out, int file, const char *path, char *why, unsigned why_size)
{
    struct file_content content;
    char reason[REASON_MAX];
    enum err err = file_read_open(&content, file, FILE_MAX, reason, sizeof reason);

    if (err != ERR_OK) {
        snprintf(why, why_size, "%s: %s", path, reason);
        return err;
    }
    err = device_id_parse(out, content.bytes, content.len);
    file_content_wipe(&content);
    if (err != ERR_OK)
        snprintf(why, why_size, "%s: it is not of the form {\"id\":\"...\"}", path);
    else if (file_share(file) != ERR_OK)
        log_debug(MODULE, "the rights of %s are left as they are", path);
    return err;
}

/* ERR_NOT_FOUND: there is no file, which needs no explanation. */
static enum err from_file(char *out, const char *path, char *why, unsigned why_size)
{
    char reason[REASON_MAX];
    int file;
    enum err err = file_open(&file, path, reason, sizeof reason);

    if (err != ERR_OK) {
        snprintf(why, why_size, "%s: %s", path, reason);
        return err;
    }
    err = from_open_file(out, file, path, why, why_size);
    file_close(file);
    return err;
}

/* An image that was never started has no id of its own yet. */
static enum err from_machine(char *out, const char *key, char *why, unsigned why_size)
{
    static const char unset[] = "uninitialized";
    struct file_content content;
    char reason[REASON_MAX];
    enum err err = machine_read_id(&content, reason, sizeof reason);

    if (err != ERR_OK) {
        snprintf(why, why_size, "the machine has no id: %s", reason);
        return err;
    }
    if (strspn(content.bytes, " \t\r\n") == content.len ||
        strncmp(content.bytes, unset, sizeof unset - 1) == 0) {
        snprintf(why, why_size, "the machine has no id yet");
        err = ERR_NOT_FOUND;
    } else {
        identity_from_machine_id(out, key, content.bytes, content.len);
    }
    file_content_wipe(&content);
    return err;
}

/* Another process may be at it, too: then its id counts. */
static enum err from_nothing(char *out, const char *path, char *why, unsigned why_size)
{
    char uuid[DEVICE_ID_UUID_LEN + 1], json[IDENTITY_HEX_LEN + 16], reason[REASON_MAX];

    device_id_random_uuid(uuid);
    identity_hash(out, uuid);
    int n = snprintf(json, sizeof json, "{\"id\":\"%s\"}", out);
    enum err err = file_write(path, json, (size_t)n, 0, reason, sizeof reason);
    if (err == ERR_EXISTS)
        return from_file(out, path, why, why_size);
    if (err != ERR_OK)
        snprintf(why, why_size, "cannot write %s: %s", path, reason);
    return err;
}

enum err device_id_find(char *out, const struct device_id_place *place, char *why,
                        unsigned why_size)
{
    char path[PATH_LEN], reason[REASON_MAX];
    struct tries no;
    int n = snprintf(path, sizeof path, "%s/%s", place->folder, place->file);

    ASSERT(n > 0 && (size_t)n < sizeof path);
    if (file_make_shared_folder(place->folder, reason, sizeof reason) != ERR_OK)
        log_debug(MODULE, "cannot prepare %s: %s", place->folder, reason);
    enum err err = from_file(out, path, no.read, sizeof no.read);
    if (err == ERR_OK)
        return ERR_OK;
    if (err != ERR_NOT_FOUND)
        log_warn(MODULE, "the stored id is not used: %s", no.read);
    if (from_machine(out, place->key, no.derive, sizeof no.derive) == ERR_OK)
        return ERR_OK;
    err = from_nothing(out, path, no.generate, sizeof no.generate);
    if (err == ERR_OK)
        log_info(MODULE, "%s; this device has a new one in %s", no.derive, path);
    else
        snprintf(why, why_size,
                 "there is no id for this device: not read: %s: not derived: %s: not generated: %s",
                 no.read, no.derive, no.generate);
    return err;
}
