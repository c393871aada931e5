/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the options_*.c files: how an option is described, and how a value is refused. */
#ifndef FZ_CONTROL_OPTIONS_PRIVATE_H
#define FZ_CONTROL_OPTIONS_PRIVATE_H

#include <stddef.h>

#include "control/options.h"

struct why {
    char *buf;
    unsigned size;
};

enum setting_kind {
    SETTING_END,    /* of a table */
    SETTING_ON,     /* a switch: sets the bool at `offset`. As a variable: true or false */
    SETTING_OFF,    /* a switch that clears it */
    SETTING_TEXT,   /* a value: kept as it is at `offset`; not empty */
    SETTING_PARSED, /* a value: for `set` */
    SETTING_HELP,
    SETTING_VERSION
};

/* by: the flag or the variable, from the table. value: not empty if it comes from a variable. */
typedef enum err (*setting_fn)(struct options *o, const char *by, const char *value,
                               const struct why *why);

struct setting {
    enum setting_kind kind;
    char letter;                 /* 0: none */
    const char *name;            /* of the flag, with its dashes; NULL: there is only a variable */
    const char *env, *env_alias; /* NULL: none. The first that is set counts */
    size_t offset;               /* in struct options */
    setting_fn set;
};

/*
 * The client's flags before the command and the gateway's flags, those of a tunnel (of both and for `wireguard`), and those of each
 * command.
 */
extern const struct setting options_client[], options_gateway[], options_engine[],
    options_wireguard[], options_sign_in[], options_sign_out[], options_standalone[];

extern const char options_help_client[], options_help_gateway[], options_help_wireguard[],
    options_help_sign_in[], options_help_sign_out[];

/* All return ERR_PARSE. */
enum err options_fail(const struct why *why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "by: 'value' is `what`"; a long value, which may be a token at the wrong place, is not repeated. */
enum err options_fail_value(const struct why *why, const char *by, const char *value,
                            const char *what);
/* "what 'word'", likewise. */
enum err options_fail_word(const struct why *why, const char *what, const char *word);

/* The index of `value` in a list of names that NULL ends. */
enum err options_choose(unsigned *out, const char *const *names, const char *by, const char *value,
                        const struct why *why) MUST_USE;
/* true, yes, 1, false, no, 0 in either case. */
enum err options_truth(bool *out, const char *by, const char *value,
                       const struct why *why) MUST_USE;

/* A setting's function: the method of DNS control. */
enum err options_set_dns(struct options *o, const char *by, const char *value,
                         const struct why *why) MUST_USE;

/* As wg-quick: the device is named after the file, without its folder and ".conf". */
void options_tun_name_derive(struct options *o);

#endif
