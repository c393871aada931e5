/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/credentials.h"

#include <openssl/sha.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzportal/derive.h"
#include "tools/fzrelay/relay.h"

/* Canonical: no sign, no zeros before it. False: not that, or more than 63 bits. */
static bool parse_decimal(int64_t *out, const char *text, size_t len)
{
    int64_t n = 0;

    if (len == 0 || (text[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        int d = text[i] - '0';
        if (d < 0 || d > 9 || n > (INT64_MAX - d) / 10)
            return false;
        n = n * 10 + d;
    }
    *out = n;
    return true;
}

bool credentials_parse(struct credentials *out, struct stun_text username)
{
    const char *colon;

    if (username.len == 0 || username.len > STUN_USERNAME_MAX ||
        memchr(username.bytes, '\0', username.len))
        return false;
    memcpy(out->username, username.bytes, username.len);
    out->username[username.len] = '\0';
    colon = strchr(out->username, ':');
    if (!colon || strchr(colon + 1, ':'))
        return false;
    out->salt = colon + 1;
    return parse_decimal(&out->expiry, out->username, (size_t)(colon - out->username));
}

void credentials_key(uint8_t key[STUN_KEY_LEN], const struct credentials *c,
                     const char *stamp_secret)
{
    char password[DERIVE_RELAY_PASSWORD_LEN + 1];

    derive_relay_password(password, c->expiry, stamp_secret, c->salt);
    stun_turn_key(key, c->username, RELAY_REALM, password);
    secure_wipe(password, sizeof password);
}

void credentials_user(uint8_t user[CREDENTIALS_USER_LEN], const struct credentials *c)
{
    _Static_assert(CREDENTIALS_USER_LEN == SHA256_DIGEST_LENGTH, "a hash of the username");
    SHA256((const uint8_t *)c->username, strlen(c->username), user);
}
