/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the portal computes for its peers: preshared keys, ICE credentials, credentials and ids of relays; and what it draws
 * from its seed. Keys of WireGuard and ids are texts here, as they are in the formulas. Pure; any thread.
 * Source: spec/portal.md 10.
 */
#ifndef FZ_TOOLS_FZPORTAL_DERIVE_H
#define FZ_TOOLS_FZPORTAL_DERIVE_H

#include <stddef.h>
#include <stdint.h>

#include "control/portal/fields.h"

enum {
    DERIVE_BASE_LEN = 32,
    DERIVE_ICE_NAME_LEN = 4,
    DERIVE_ICE_PASSWORD_LEN = 22,
    DERIVE_RELAY_USERNAME_MAX = 20 + 1 + 43,
    DERIVE_RELAY_PASSWORD_LEN = 43
};

/* One end of a connection. */
struct derive_end {
    const char *id, *key; /* UUID and public key, as texts */
    const uint8_t *base;  /* DERIVE_BASE_LEN secret bytes */
};

struct derive_ice {
    char username[DERIVE_ICE_NAME_LEN + 1];
    char password[DERIVE_ICE_PASSWORD_LEN + 1];
};

struct derive_relay {
    char username[DERIVE_RELAY_USERNAME_MAX + 1];
    char password[DERIVE_RELAY_PASSWORD_LEN + 1];
};

/* 10.1; `out` has KEY_BASE64_LEN + 1 bytes. initiator: the client that asked; the second form is between two clients. */
void derive_psk_gateway(char *out, const struct derive_end *client,
                        const struct derive_end *gateway);
void derive_psk_client(char *out, const struct derive_end *initiator,
                       const struct derive_end *target);
/* 10.2 */
void derive_ice(struct derive_ice *initiator, struct derive_ice *receiver,
                const struct derive_end *i, const struct derive_end *r);
/* 10.3; user_key: of who uses the relay. */
void derive_relay(struct derive_relay *out, int64_t expiry, const char *stamp_secret,
                  const char *user_key);
/* Its second half, for any salt; `out` has DERIVE_RELAY_PASSWORD_LEN + 1 bytes. */
void derive_relay_password(char *out, int64_t expiry, const char *stamp_secret, const char *salt);
/* 10.4 */
struct uuid derive_relay_id(const char *stamp_secret);

/* The seed that a text stands for. */
void derive_seed(uint8_t out[32], const char *text);
/* Bytes that depend on the seed and on what they are for; len: at most 32. */
void derive_seeded(void *out, size_t len, const uint8_t seed[32], const char *what,
                   const char *name);
/* A UUID of version 4 made of the same. */
struct uuid derive_seeded_uuid(const uint8_t seed[32], const char *what, const char *name);

/* base64 without padding; url: of the URL alphabet. `out` has DERIVE_BASE64_SIZE(len) bytes. Returns the length. */
#define DERIVE_BASE64_SIZE(len) ((len) / 3 * 4 + 5)
size_t derive_base64(char *out, const void *data, size_t len, bool url);

#endif
