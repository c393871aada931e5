/* SPDX-License-Identifier: Apache-2.0 */
/* See identity.h. */
#include "control/portal/identity.h"

#include <stdio.h>
#include <string.h>

#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "control/key_text.h"
#include "control/portal/uuid.h"
#include "platform/base/bytes.h"

enum {
    UUID_SIMPLE_LEN = 32,
    AGENT_WORD_MAX = 63
};

void identity_from_machine_id(char *out, const char *key, const void *machine_id, size_t len)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    unsigned n = sizeof digest;
    const uint8_t *done = HMAC(EVP_sha256(), key, strlen(key), machine_id, len, digest, &n);
    ASSERT(done && n == KEY_LEN);
    key_hex_encode(out, digest);
}

void identity_hash(char *out, const char *text)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)text, strlen(text), digest);
    key_hex_encode(out, digest);
}

bool identity_is_uuid(const char *text)
{
    static const char urn[] = "urn:uuid:", digits[] = "0123456789abcdefABCDEF";
    char inner[UUID_TEXT_MAX];
    struct uuid uuid;
    size_t len = strlen(text);

    if (len == UUID_SIMPLE_LEN)
        return strspn(text, digits) == len;
    if (len == UUID_TEXT_MAX - 1 + sizeof urn - 1 && strncmp(text, urn, sizeof urn - 1) == 0)
        return uuid_parse(&uuid, text + sizeof urn - 1);
    if (len != UUID_TEXT_MAX - 1 + 2 || text[0] != '{' || text[len - 1] != '}')
        return uuid_parse(&uuid, text);
    memcpy(inner, text + 1, UUID_TEXT_MAX - 1);
    inner[UUID_TEXT_MAX - 1] = 0;
    return uuid_parse(&uuid, inner);
}

static bool is_printable(char c)
{
    return c >= ' ' && c <= '~';
}

enum err identity_external_id(char *out, const char *id)
{
    size_t len = strnlen(id, IDENTITY_EXTERNAL_ID_MAX + 1);

    if (len == 0 || len > IDENTITY_EXTERNAL_ID_MAX)
        return ERR_INVALID;
    for (size_t i = 0; i < len; i++) {
        if (!is_printable(id[i]))
            return ERR_INVALID;
    }
    if (identity_is_uuid(id))
        identity_hash(out, id);
    else
        memcpy(out, id, len + 1);
    return ERR_OK;
}

/* ---- the User-Agent ---- */

/* Three numbers without leading zeros. */
static bool is_version(const char *text)
{
    for (unsigned part = 0; part < 3; part++) {
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 9 || (digits > 1 && text[0] == '0'))
            return false;
        text += digits;
        if (*text != (part < 2 ? '.' : 0))
            return false;
        text++;
    }
    return true;
}

/* A word of the format: its separators are replaced, and never nothing is left of it. */
static const char *word(char *out, const char *text)
{
    size_t n = 0;
    for (; *text && n < AGENT_WORD_MAX; text++) {
        if (is_printable(*text))
            out[n++] = strchr(" /();", *text) ? '-' : *text;
    }
    out[n] = 0;
    return n > 0 ? out : "unknown";
}

enum err identity_user_agent(char *out, size_t size, const struct identity_agent *agent)
{
    char os[AGENT_WORD_MAX + 1], os_version[AGENT_WORD_MAX + 1], component[AGENT_WORD_MAX + 1],
        arch[AGENT_WORD_MAX + 1], kernel[AGENT_WORD_MAX + 1];
    int n;

    if (!is_version(agent->version))
        return ERR_INVALID;
    size = size_min(size, IDENTITY_USER_AGENT_MAX + 1);
    n = snprintf(out, size, "%s/%s %s/%s", word(os, agent->os), word(os_version, agent->os_version),
                 word(component, agent->component), agent->version);
    if (n > 0 && (size_t)n < size && agent->arch && agent->kernel)
        n += snprintf(out + n, size - (size_t)n, " (%s; %s)", word(arch, agent->arch),
                      word(kernel, agent->kernel));
    return n > 0 && (size_t)n < size ? ERR_OK : ERR_NO_SPACE;
}
