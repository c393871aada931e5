/* SPDX-License-Identifier: Apache-2.0 */
/* See agent.h. */
#include "tools/fzportal/agent.h"

#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"

static const struct {
    const char *prefix;
    enum agent_component component;
} words[] = {{"relay/", AGENT_RELAY},
             {"connlib/", AGENT_GUI},
             {"headless-client/", AGENT_HEADLESS},
             {"gui-client/", AGENT_GUI},
             {"apple-client/", AGENT_APPLE},
             {"android-client/", AGENT_ANDROID},
             {"gateway/", AGENT_GATEWAY}};

/* What is not printable ASCII has no place in it, nor in JSON if it is no UTF-8. */
static void copy(char out[AGENT_TEXT_MAX + 1], const char *from, size_t len)
{
    len = size_min(len, AGENT_TEXT_MAX);
    for (size_t i = 0; i < len; i++)
        out[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    out[len] = 0;
}

static bool read_part(const char **text, uint32_t *out)
{
    const char *c = *text;
    uint32_t n = 0;
    if (*c < '0' || *c > '9' || (*c == '0' && c[1] >= '0' && c[1] <= '9'))
        return false;
    for (; *c >= '0' && *c <= '9'; c++) {
        if (n > 99999999)
            return false;
        n = n * 10 + (uint32_t)(*c - '0');
    }
    *out = n;
    *text = c;
    return true;
}

/* What may follow the three numbers: "-rc.1", "+build". */
static bool is_suffix(const char *text)
{
    if (!*text)
        return true;
    if ((*text != '-' && *text != '+') || !text[1])
        return false;
    for (text++; *text; text++) {
        bool alnum = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
                     (*text >= 'A' && *text <= 'Z');
        if (!alnum && !strchr(".-+", *text))
            return false;
    }
    return true;
}

static void parse_version(struct agent *a)
{
    const char *c = a->version;
    a->semver = read_part(&c, &a->major) && *c++ == '.' && read_part(&c, &a->minor) &&
                *c++ == '.' && read_part(&c, &a->patch) && is_suffix(c);
}

static bool parse_word(struct agent *a, const char *word, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t prefix = strlen(words[i].prefix);
        if (len >= prefix && memcmp(word, words[i].prefix, prefix) == 0) {
            a->component = words[i].component;
            copy(a->version, word + prefix, len - prefix);
            parse_version(a);
            return true;
        }
    }
    return false;
}

void agent_parse(struct agent *a, const char *user_agent)
{
    memset(a, 0, sizeof *a);
    copy(a->text, user_agent, strlen(user_agent));
    const char *slash = strchr(user_agent, '/');
    if (slash) {
        copy(a->os_name, user_agent, (size_t)(slash - user_agent));
        copy(a->os_version, slash + 1, strcspn(slash + 1, " /"));
    }
    for (const char *word = user_agent; *word;) {
        size_t len = strcspn(word, " ");
        if (parse_word(a, word, len))
            break;
        word += len + (word[len] == ' ');
    }
}

static int compare(const struct agent *a, uint32_t major, uint32_t minor, uint32_t patch)
{
    if (a->major != major)
        return a->major < major ? -1 : 1;
    if (a->minor != minor)
        return a->minor < minor ? -1 : 1;
    return a->patch < patch ? -1 : a->patch > patch;
}

int agent_compare(const struct agent *a, const struct agent *b)
{
    if (!a->semver || !b->semver)
        return (int)a->semver - (int)b->semver;
    return compare(a, b->major, b->minor, b->patch);
}

/* All of these limits are of version 1.5; headless, GUI, Apple, Android. */
static bool from_patch(const struct agent *a, const uint8_t limits[4])
{
    switch (a->component) {
    case AGENT_HEADLESS:
        return compare(a, 1, 5, limits[0]) >= 0;
    case AGENT_GUI:
        return compare(a, 1, 5, limits[1]) >= 0;
    case AGENT_APPLE:
        return compare(a, 1, 5, limits[2]) >= 0;
    case AGENT_ANDROID:
        return compare(a, 1, 5, limits[3]) >= 0;
    case AGENT_NONE:
    case AGENT_RELAY:
    case AGENT_GATEWAY:
        break;
    }
    return false;
}

bool agent_has(const struct agent *a, enum agent_feature feature, bool service)
{
    static const uint8_t sites[4] = {6, 10, 11, 8}, peers[4] = {7, 11, 14, 9},
                         pools[4] = {9, 13, 16, 11}, in_place[4] = {5, 9, 9, 5};
    if (!a->semver)
        return false;
    switch (feature) {
    case AGENT_SITES:
        return from_patch(a, sites);
    case AGENT_PEERS:
        return from_patch(a, peers);
    case AGENT_POOLS:
        return service ? compare(a, 1, 5, 9) >= 0 : from_patch(a, pools);
    case AGENT_SITE_IN_PLACE:
        return from_patch(a, in_place);
    case AGENT_INTERNET:
        return compare(a, 1, 3, 0) >= 0;
    case AGENT_PATTERNS:
        return compare(a, 1, 2, 0) >= 0;
    }
    return false;
}

bool agent_fits_gateway(const struct agent *client, const struct agent *gateway)
{
    return client->semver && gateway->semver && gateway->major == client->major &&
           gateway->minor + 1 >= client->minor && gateway->minor < client->minor + 2;
}

bool agent_fits_client(const struct agent *a, const struct agent *b)
{
    return a->semver && b->semver && a->major == b->major && a->minor == b->minor;
}
