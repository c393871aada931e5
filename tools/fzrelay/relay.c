/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's life, and the data that it forwards. */
#include "tools/fzrelay/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzrelay/relay_private.h"

enum {
    CHANNEL_FIRST_BYTE = CHANNEL_FIRST >> 12, /* its upper half */
    PAYLOAD_MAX = UINT16_MAX
};

static bool secret_is_good(const char *secret)
{
    return secret && secret[0] && strlen(secret) <= RELAY_SECRET_MAX;
}

static uint32_t or_usual(uint32_t n, uint32_t usual)
{
    return n > 0 ? n : usual;
}

enum err relay_new(struct relay_server **out, const struct relay_config *config)
{
    struct relay_server *r;
    uint32_t ports;

    *out = NULL;
    if ((config->public4.family != ADDR_V4 && config->public6.family != ADDR_V6) ||
        config->lowest_port == 0 || config->lowest_port > config->highest_port ||
        !secret_is_good(config->stamp_secret))
        return ERR_INVALID;
    ports = (uint32_t)config->highest_port - config->lowest_port + 1;
    r = mem_zalloc(1, sizeof *r);
    r->public4 = config->public4;
    r->public6 = config->public6;
    snprintf(r->stamp_secret, sizeof r->stamp_secret, "%s", config->stamp_secret);
    draw_init(&r->draw, config->seed);
    allocations_init(&r->allocations, config->lowest_port, config->highest_port,
                     or_usual(config->allocations_max, ports), &r->draw);
    channels_init(&r->channels, or_usual(config->channels_max, RELAY_CHANNELS_MAX), &r->draw);
    nonces_init(&r->nonces, or_usual(config->nonces_max, RELAY_NONCES_MAX), &r->draw);
    relay_reckon(r);
    *out = r;
    return ERR_OK;
}

void relay_free(struct relay_server *r)
{
    if (!r)
        return;
    allocations_fini(&r->allocations);
    channels_fini(&r->channels);
    nonces_fini(&r->nonces);
    draw_wipe(&r->draw);
    secure_wipe(r, sizeof *r);
    free(r);
}

/* ---- time ---- */

void relay_reckon(struct relay_server *r)
{
    const struct allocation *a = allocations_first(&r->allocations);

    r->due = time_min(a ? a->expires_at : TIME_NEVER, channels_next_end(&r->channels));
}

time_ns relay_poll_timeout(const struct relay_server *r)
{
    return r->due;
}

void relay_delete(struct relay_server *r, struct allocation *a)
{
    channels_remove_all(&r->channels, a);
    allocations_remove(&r->allocations, a);
}

void relay_handle_timeout(struct relay_server *r, time_ns now)
{
    struct allocation *a;

    if (LIKELY(now < r->due))
        return;
    while ((a = allocations_first(&r->allocations)) && a->expires_at <= now)
        relay_delete(r, a);
    while (channels_next_end(&r->channels) <= now)
        channels_remove(&r->channels, TAILQ_FIRST(&r->channels.by_age));
    relay_reckon(r);
}

/* ---- data ---- */

static enum relay_verdict to_peer(struct relay_server *r, time_ns now, const struct sock_addr *from,
                                  const uint8_t *bytes, size_t len, struct relay_datagram *out)
{
    const struct allocation *a;
    const struct channel *c;
    uint16_t payload;

    if (r->frozen & RELAY_FREEZE_DATA)
        return RELAY_DROP_FROZEN;
    /* Bytes behind the payload are padding. */
    if (len < CHANNEL_HEADER_LEN || load_be16(bytes + 2) > len - CHANNEL_HEADER_LEN)
        return RELAY_DROP_NOT_TURN;
    payload = load_be16(bytes + 2);
    a = allocations_of_client(&r->allocations, from);
    if (!a)
        return RELAY_DROP_NO_ALLOCATION;
    c = channels_of_number(&r->channels, a, load_be16(bytes));
    if (!c || !channel_is_bound(c, now))
        return RELAY_DROP_NO_CHANNEL;
    out->to = c->peer;
    out->port = a->port;
    out->header_len = 0;
    out->bytes = bytes + CHANNEL_HEADER_LEN;
    out->len = payload;
    r->stats.bytes_to_peers += payload;
    return RELAY_TO_PEER;
}

static enum relay_verdict from_client(struct relay_server *r, time_ns now, int64_t unix_s,
                                      const struct sock_addr *from, const uint8_t *bytes,
                                      size_t len, struct relay_datagram *out)
{
    if (from->port == 0)
        return RELAY_DROP_PORT_ZERO;
    if (len > 0 && bytes[0] >> 4 == CHANNEL_FIRST_BYTE)
        return to_peer(r, now, from, bytes, len, out);
    if (r->frozen & RELAY_FREEZE_REQUESTS)
        return RELAY_DROP_FROZEN;
    return relay_request(r, now, unix_s, from, bytes, len, out);
}

enum relay_verdict relay_handle_client(struct relay_server *r, time_ns now, int64_t unix_s,
                                       const struct sock_addr *from, const uint8_t *bytes,
                                       size_t len, struct relay_datagram *out)
{
    enum relay_verdict v;

    relay_handle_timeout(r, now);
    v = from_client(r, now, unix_s, from, bytes, len, out);
    r->stats.verdicts[v]++;
    return v;
}

static enum relay_verdict from_peer(struct relay_server *r, time_ns now, uint16_t port,
                                    const struct sock_addr *from, const uint8_t *bytes, size_t len,
                                    struct relay_datagram *out)
{
    const struct allocation *a = allocations_of_port(&r->allocations, port);
    const struct channel *c;

    if (from->port == 0)
        return RELAY_DROP_PORT_ZERO;
    if (r->frozen & RELAY_FREEZE_DATA)
        return RELAY_DROP_FROZEN;
    if (!a)
        return RELAY_DROP_NO_ALLOCATION;
    if (len > PAYLOAD_MAX)
        return RELAY_DROP_TOO_LONG;
    c = channels_of_peer(&r->channels, a, from);
    if (!c || !channel_is_bound(c, now))
        return RELAY_DROP_STRANGER;
    out->to = a->client;
    out->port = 0;
    out->header_len = CHANNEL_HEADER_LEN;
    channel_write(out->header, c->number, (uint16_t)len);
    out->bytes = bytes;
    out->len = len;
    r->stats.bytes_to_clients += len;
    return RELAY_TO_CLIENT;
}

enum relay_verdict relay_handle_peer(struct relay_server *r, time_ns now, uint16_t port,
                                     const struct sock_addr *from, const uint8_t *bytes, size_t len,
                                     struct relay_datagram *out)
{
    enum relay_verdict v;

    relay_handle_timeout(r, now);
    v = from_peer(r, now, port, from, bytes, len, out);
    r->stats.verdicts[v]++;
    return v;
}

/* ---- ports ---- */

bool relay_poll_port(struct relay_server *r, struct relay_port *out)
{
    if (allocations_report(&r->allocations, out))
        return true;
    if (r->opening.port != 0)
        secure_wipe(&r->opening, sizeof r->opening);
    return false;
}

bool relay_port_failed(struct relay_server *r, uint16_t port, struct relay_datagram *out)
{
    struct allocation *a = allocations_of_port(&r->allocations, port);

    if (!a)
        return false;
    channels_remove_all(&r->channels, a);
    allocations_not_opened(&r->allocations, a);
    relay_reckon(r);
    if (r->opening.port != port)
        return false;
    relay_refuse_opening(r, out);
    return true;
}

/* ---- faults, and what one may want to know ---- */

void relay_freeze(struct relay_server *r, unsigned what)
{
    r->frozen = what;
}

bool relay_plan_error(struct relay_server *r, uint16_t method, uint16_t code, uint32_t count)
{
    if (code < 300 || code > 699 || count == 0)
        return false;
    for (unsigned i = 0; i < RELAY_PLANS_MAX; i++) {
        if (r->plans[i].count == 0) {
            r->plans[i] = (struct plan){.method = method, .code = code, .count = count};
            return true;
        }
    }
    return false;
}

void relay_forget_nonces(struct relay_server *r)
{
    nonces_forget(&r->nonces);
}

enum err relay_set_secret(struct relay_server *r, const char *secret)
{
    if (!secret_is_good(secret))
        return ERR_INVALID;
    secure_wipe(r->stamp_secret, sizeof r->stamp_secret);
    snprintf(r->stamp_secret, sizeof r->stamp_secret, "%s", secret);
    return ERR_OK;
}

const char *relay_secret(const struct relay_server *r)
{
    return r->stamp_secret;
}

unsigned relay_drop(struct relay_server *r, uint16_t port)
{
    struct allocation *a;
    unsigned n = 0;

    while ((a = port ? allocations_of_port(&r->allocations, port)
                     : allocations_first(&r->allocations))) {
        relay_delete(r, a);
        n++;
    }
    relay_reckon(r);
    return n;
}

bool relay_next_allocation(const struct relay_server *r, uint32_t *cursor,
                           struct relay_allocation *out)
{
    while (*cursor < r->allocations.size) {
        const struct allocation *a = &r->allocations.slots[(*cursor)++];
        if (a->state != ALLOCATION_OPENING && a->state != ALLOCATION_OPEN)
            continue;
        *out = (struct relay_allocation){.client = a->client,
                                         .port = a->port,
                                         .families = a->families,
                                         .channels = a->channels_n,
                                         .expires_at = a->expires_at};
        return true;
    }
    return false;
}

void relay_stats(const struct relay_server *r, struct relay_stats *out)
{
    *out = r->stats;
    out->allocations = r->allocations.used;
    out->channels = r->channels.used;
    out->nonces = r->nonces.used;
}

const char *relay_verdict_text(enum relay_verdict v)
{
    static const char *const texts[] = {
#define X(name, text) text,
        RELAY_VERDICTS(X)
#undef X
    };
    ASSERT((unsigned)v < ARRAY_LEN(texts));
    return texts[v];
}

const char *relay_error_text(enum relay_error e)
{
    static const char *const texts[] = {
#define X(code, text) #code,
        RELAY_ERRORS(X)
#undef X
            "other"};
    ASSERT((unsigned)e < ARRAY_LEN(texts));
    return texts[e];
}
