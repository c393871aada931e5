/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The credentials of a user of the relay, which are in the username: "EXPIRY:SALT", from which the relay's secret makes the password.
 * Pure; any thread. Source: spec/p2p.md 12.2, spec/portal.md 10.3.
 */
#ifndef FZ_TOOLS_FZRELAY_CREDENTIALS_H
#define FZ_TOOLS_FZRELAY_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/p2p/stun.h"

enum {
    CREDENTIALS_USER_LEN = 32
};

struct credentials {
    char username[STUN_USERNAME_MAX + 1];
    const char *salt; /* in it */
    int64_t expiry;   /* Unix seconds */
};

/* False: it has not that form. */
bool credentials_parse(struct credentials *out, struct stun_text username);
/* The key of MESSAGE-INTEGRITY. */
void credentials_key(uint8_t key[STUN_KEY_LEN], const struct credentials *c,
                     const char *stamp_secret);
/* What stands for the username where it is compared. */
void credentials_user(uint8_t user[CREDENTIALS_USER_LEN], const struct credentials *c);

#endif
