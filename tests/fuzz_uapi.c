/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a stream of userspace API requests. Requests must be found alike however the stream is cut. The device
 * that an accepted set request describes, written as a get reply and read back as a set request, must be the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/uapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a device without peers would report after the update. */
static void status_of(struct device_status *s, const struct device_update *u)
{
    *s = (struct device_status){.listen_port = u->listen_port, .fwmark = u->fwmark};
    memcpy(s->private_key, u->private_key, sizeof s->private_key);
    s->peers = calloc(u->peers_n + 1, sizeof *s->peers);
    s->peers_n = u->peers_n;
    for (size_t i = 0; i < u->peers_n; i++) {
        const struct device_peer_update *from = &u->peers[i];
        struct device_peer_status *to = &s->peers[i];
        memcpy(to->public_key, from->public_key, sizeof to->public_key);
        memcpy(to->psk, from->psk, sizeof to->psk);
        to->endpoint = from->endpoint;
        to->keepalive_seconds = from->keepalive_seconds;
        to->rx_bytes = UINT64_MAX - i;
        to->handshake_seconds = i;
        to->allowed = calloc(from->allowed_n + 1, sizeof *to->allowed);
        to->allowed_n = from->allowed_n;
        for (size_t k = 0; k < from->allowed_n; k++)
            to->allowed[k] = from->allowed[k].prefix;
    }
}

/* The reply as a set request: without the lines that only a reply has. */
static char *request_of(const struct device_status *s, size_t *len)
{
    static const char *const only[] = {"last_handshake", "tx_bytes", "rx_bytes", "errno"};
    char chunk[UAPI_CHUNK_MIN + 1];
    size_t size = 64 + 1024 * (s->peers_n + 1), n;
    struct uapi_get get;

    for (size_t i = 0; i < s->peers_n; i++)
        size += 64 * s->peers[i].allowed_n;
    char *text = malloc(size);
    ASSERT(text);
    *len = (size_t)snprintf(text, size, "set=1\n");
    uapi_get_init(&get, s);
    while ((n = uapi_get_next(&get, chunk, UAPI_CHUNK_MIN)) > 0) {
        ASSERT(n <= UAPI_CHUNK_MIN && chunk[n - 1] == '\n');
        for (size_t at = 0; at < n;) {
            size_t line = (size_t)((char *)memchr(chunk + at, '\n', n - at) - (chunk + at)) + 1;
            bool keep = true;
            for (unsigned i = 0; i < 4; i++)
                keep = keep && strncmp(chunk + at, only[i], strlen(only[i])) != 0;
            if (keep) {
                ASSERT(*len + line <= size);
                memcpy(text + *len, chunk + at, line);
                *len += line;
            }
            at += line;
        }
    }
    return text;
}

static void check_same(const struct device_update *a, const struct device_update *b)
{
    ASSERT(a->listen_port == b->listen_port && a->fwmark == b->fwmark && a->peers_n == b->peers_n);
    ASSERT(memcmp(a->private_key, b->private_key, sizeof a->private_key) == 0);
    for (size_t i = 0; i < a->peers_n; i++) {
        const struct device_peer_update *x = &a->peers[i], *y = &b->peers[i];
        ASSERT(memcmp(x->public_key, y->public_key, sizeof x->public_key) == 0);
        ASSERT(memcmp(x->psk, y->psk, sizeof x->psk) == 0);
        ASSERT(sock_addr_equal(&x->endpoint, &y->endpoint));
        ASSERT(x->keepalive_seconds == y->keepalive_seconds && x->allowed_n == y->allowed_n);
        for (size_t k = 0; k < x->allowed_n; k++) {
            ASSERT(ip_addr_equal(&x->allowed[k].prefix.ip, &y->allowed[k].prefix.ip));
            ASSERT(x->allowed[k].prefix.len == y->allowed[k].prefix.len);
        }
    }
}

static void check_set(const char *text, size_t len)
{
    struct device_update a, b;
    struct device_status s;
    unsigned line;

    if (uapi_parse_set(&a, text, len, &line) != ERR_OK) {
        ASSERT(line > 0 && !a.peers && !a.has_private_key);
        return;
    }
    status_of(&s, &a);
    char *again = request_of(&s, &len);
    ASSERT(uapi_request_end(again, len, 0) == len);
    ASSERT(uapi_parse_set(&b, again, len, &line) == ERR_OK);
    check_same(&a, &b);
    free(again);
    device_status_fini(&s);
    device_update_fini(&a);
    device_update_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    while (size > 0) {
        size_t end = uapi_request_end(text, size, 0), from = 0, sliced = 0;
        for (size_t n = 1; n <= size && sliced == 0; n += 1 + n % 7) {
            sliced = uapi_request_end(text, n, from);
            from = n;
        }
        ASSERT(sliced == 0 || sliced == end);
        if (end == 0)
            break;
        ASSERT(end >= 2 && end <= size && memcmp(text + end - 2, "\n\n", 2) == 0);
        if (uapi_request_op(text, end) == UAPI_SET)
            check_set(text, end);
        text += end;
        size -= end;
    }
    return 0;
}
