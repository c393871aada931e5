/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzlink/settings.h"

#include <string.h>

static const struct {
    const char *name, *what; /* what its value looks like */
} settings[SETTINGS] = {
    [SETTING_DELAY] = {"delay", "a time up to 60s, such as 10ms"},
    [SETTING_JITTER] = {"jitter", "a time up to 60s, such as 2ms"},
    [SETTING_LOSS] = {"loss", "a share up to 100%, such as 1%"},
    [SETTING_REORDER] = {"reorder", "a share up to 100%, such as 0.1%"},
    [SETTING_DUPLICATE] = {"duplicate", "a share up to 100%, such as 0.1%"},
    [SETTING_RATE] = {"rate", "a rate from 1kbit to 1000gbit, such as 100mbit, or none"},
    [SETTING_QUEUE] = {"queue", "a number of packets, or bytes such as 1MB, or none"},
};

void settings_init(struct settings *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < DIRECTIONS; i++)
        s->of[i].queue_packets = SETTINGS_QUEUE_USUAL;
}

const char *settings_name(enum setting setting)
{
    ASSERT(setting < SETTINGS);
    return settings[setting].name;
}

enum setting settings_find(const char *name)
{
    unsigned i = 0;

    while (i < SETTINGS && strcmp(settings[i].name, name) != 0)
        i++;
    return (enum setting)i;
}

static bool parse_one(struct impair_settings *s, enum setting setting, const char *text)
{
    switch (setting) {
    case SETTING_DELAY:
        return value_duration_parse(&s->delay, text);
    case SETTING_JITTER:
        return value_duration_parse(&s->jitter, text);
    case SETTING_LOSS:
        return value_share_parse(&s->loss, text);
    case SETTING_REORDER:
        return value_share_parse(&s->reorder, text);
    case SETTING_DUPLICATE:
        return value_share_parse(&s->duplicate, text);
    case SETTING_RATE:
        return value_rate_parse(&s->rate, text);
    case SETTING_QUEUE:
        return value_queue_parse(&s->queue_packets, &s->queue_bytes, text);
    case SETTINGS:
        break;
    }
    return false;
}

enum err settings_parse(struct settings *s, enum setting setting, const char *text, struct why why)
{
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    char first[VALUE_TEXT_MAX];

    ASSERT(setting < SETTINGS);
    if (len < sizeof first) {
        memcpy(first, text, len);
        first[len] = '\0';
        if (parse_one(&s->of[A_TO_B], setting, first) &&
            parse_one(&s->of[B_TO_A], setting, slash ? slash + 1 : first))
            return ERR_OK;
    }
    return why_fail(why, ERR_PARSE, "%s: '%.80s' is not %s (or two of them, A-TO-B/B-TO-A)",
                    settings[setting].name, text, settings[setting].what);
}

char *settings_format(const struct settings *s, enum setting setting, enum direction direction,
                      char buf[VALUE_TEXT_MAX])
{
    const struct impair_settings *of = &s->of[direction];

    switch (setting) {
    case SETTING_DELAY:
        return value_duration_format(of->delay, buf);
    case SETTING_JITTER:
        return value_duration_format(of->jitter, buf);
    case SETTING_LOSS:
        return value_share_format(of->loss, buf);
    case SETTING_REORDER:
        return value_share_format(of->reorder, buf);
    case SETTING_DUPLICATE:
        return value_share_format(of->duplicate, buf);
    case SETTING_RATE:
        return value_rate_format(of->rate, buf);
    case SETTING_QUEUE:
        return value_queue_format(of->queue_packets, of->queue_bytes, buf);
    case SETTINGS:
        break;
    }
    ASSERT(!"a setting that there is not");
}

enum err settings_check(const struct settings *s, struct why why)
{
    for (unsigned i = 0; i < DIRECTIONS; i++) {
        const struct impair_settings *of = &s->of[i];
        if (of->jitter > of->delay)
            return why_fail(why, ERR_INVALID, "the jitter is at most the delay");
        if (of->reorder > 0 && of->delay == 0)
            return why_fail(
                why, ERR_INVALID,
                "reorder needs a delay: such a packet overtakes those that are delayed");
    }
    return ERR_OK;
}
