/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be set about the two directions of a link, by name and as text: on the command line (--delay 10ms) and by `fzlink ctl
 * set delay=10ms`. One value holds for both directions, two with a slash between them, "10ms/20ms", for a to b and for b to a.
 * Sans-IO.
 */
#ifndef FZ_TOOLS_FZLINK_SETTINGS_H
#define FZ_TOOLS_FZLINK_SETTINGS_H

#include "platform/base/err.h"
#include "platform/linux/why.h"
#include "tools/fzlink/impair.h"
#include "tools/fzlink/value.h"

enum direction {
    A_TO_B,
    B_TO_A,
    DIRECTIONS
};

enum setting {
    SETTING_DELAY,
    SETTING_JITTER,
    SETTING_LOSS,
    SETTING_REORDER,
    SETTING_DUPLICATE,
    SETTING_RATE,
    SETTING_QUEUE,
    SETTINGS
};

enum {
    SETTINGS_QUEUE_USUAL = 1000
};

struct settings {
    struct impair_settings of[DIRECTIONS];
};

/* No impairment; a queue of SETTINGS_QUEUE_USUAL packets. */
void settings_init(struct settings *s);

/* "delay"; static storage. */
const char *settings_name(enum setting setting);
/* SETTINGS: there is none of that name. */
enum setting settings_find(const char *name);

/* Sets one from text. ERR_PARSE: `why` is one clear sentence, `s` may be changed in part. */
enum err settings_parse(struct settings *s, enum setting setting, const char *text,
                        struct why why) MUST_USE;
/* What a direction is set to, as text that settings_parse takes. Returns `buf`. */
char *settings_format(const struct settings *s, enum setting setting, enum direction direction,
                      char buf[VALUE_TEXT_MAX]);

/* They fit together. ERR_INVALID: likewise. */
enum err settings_check(const struct settings *s, struct why why) MUST_USE;

#endif
