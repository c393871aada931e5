/* SPDX-License-Identifier: Apache-2.0 */
/* Names of resources: to which resources each belongs, and which gateways know its addresses. */
#include <stdlib.h>
#include <string.h>

#include "control/access_private.h"
#include "control/inner_message.h"
#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

#define AGAIN_STEP_NS (NAME_GATE_AGAIN_NS / 20)

enum {
    TOLD_AT_ONCE =
        128 /* names of a resource when it is granted, those asked for last: as many as packets can wait */
};

/* ---- the lists that a target is in ---- */

static void list_front(struct name_target *x)
{
    struct entry *e = x->entry;

    x->next = e->names;
    x->link = &e->names;
    if (x->next)
        x->next->link = &x->next;
    e->names = x;
}

static void list_out(struct name_target *x)
{
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
}

static void asked_out(struct access *a, struct name_target *x)
{
    if (!x->asks)
        return;
    *x->asks = x->asked;
    if (x->asked)
        x->asked->asks = x->asks;
    else
        a->asked_end = x->asks;
    x->asks = NULL;
}

/* After anything that may have changed the state of its gate. Gateways answer in the order in which they are asked, about. */
static void asked_update(struct access *a, struct name_target *x)
{
    bool asked = x->gate.state == NAME_GATE_ASKED;

    if (!asked)
        asked_out(a, x);
    if (!asked || x->asks)
        return;
    x->asked = NULL;
    x->asks = a->asked_end ? a->asked_end : &a->asked;
    *x->asks = x;
    a->asked_end = &x->asked;
}

/* ---- the tunnel's side ---- */

static void publish(struct access *a, const struct access_name *name)
{
    struct tunnel_name_target targets[ENGINE_NAME_TARGETS_MAX];
    unsigned n = 0;

    if (!a->tunnel)
        return;
    for (unsigned i = 0; i < name->n && n < ARRAY_LEN(targets); i++) {
        const struct name_target *x = &name->targets[i];
        if (!x->entry->tunnel)
            continue;
        targets[n++] = (struct tunnel_name_target){.resource = x->entry->tunnel,
                                                   .v4 = x->v4,
                                                   .v6 = x->v6,
                                                   .holds = x->gate.holds ||
                                                            x->gate.state == NAME_GATE_UNKNOWN,
                                                   .keeps = x->gate.holds};
    }
    tunnel_name_set(a->tunnel, name->number, targets, n);
}

static struct tunnel_peer *connected_gateway(struct access *a, const struct entry *e)
{
    return peers_is_up(a->peers, &e->gateway.id) ? peers_find(a->peers, &e->gateway.id) : NULL;
}

/* Tells the gateway, if it is there to be told. */
static void tell(struct access *a, struct name_target *x)
{
    struct tunnel_peer *gateway = connected_gateway(a, x->entry);
    struct inner_assigned_ips m = {.resource = x->entry->resource};
    uint8_t packet[INNER_PACKET_MAX];
    size_t len;

    if (!gateway)
        return;
    memcpy(m.domain, x->name->text, strlen(x->name->text) + 1);
    for (unsigned i = 0; i < PROXY_PER_NAME && x->v4; i++)
        m.ips[m.n++] = proxy_addr_v4(x->name->number, i);
    for (unsigned i = 0; i < PROXY_PER_NAME && x->v6; i++)
        m.ips[m.n++] = proxy_addr_v6(x->name->number, i);
    len = inner_write_assigned_ips(packet, &m);
    if (len == 0)
        return;
    tunnel_p2p_packet_to(gateway, packet, len);
    name_gate_sent(&x->gate, clock_now());
}

static void assign(struct access *a, struct name_target *x)
{
    bool held = x->gate.holds, known = x->gate.state != NAME_GATE_UNKNOWN;

    if (!name_gate_assign(&x->gate, clock_now()))
        return;
    if (!known || held != x->gate.holds)
        publish(a, x->name);
    tell(a, x);
    asked_update(a, x);
}

/* In steps, so that those that wait are not looked through for each of them. */
static time_ns due_at(const struct name_target *x)
{
    time_ns due = name_gate_poll_timeout(&x->gate);

    return due != TIME_NEVER ? (due + AGAIN_STEP_NS - 1) / AGAIN_STEP_NS * AGAIN_STEP_NS
                             : TIME_NEVER;
}

/* When something is due that was not before. */
static void wake_at(struct access *a, time_ns due)
{
    if (due != TIME_NEVER && (!loop_timer_armed(&a->timer) || a->timer.deadline > due))
        loop_timer_set(a->loop, &a->timer, due);
}

static void wake(struct access *a)
{
    wake_at(a, access_names_poll_timeout(a));
}

/* ---- names ---- */

static void name_free(struct access *a, struct access_name *x)
{
    for (unsigned i = 0; i < x->n; i++) {
        asked_out(a, &x->targets[i]);
        list_out(&x->targets[i]);
    }
    free(x->text);
    free(x);
}

static struct access_name *name_new(uint32_t number, const char *text, unsigned n)
{
    struct access_name *x = mem_zalloc(1, sizeof *x + n * sizeof x->targets[0]);

    x->number = number;
    x->text = mem_dup_text(text, size_min(strlen(text), INNER_DOMAIN_MAX + 1));
    return x;
}

static void target_add(struct access_name *x, struct entry *e, uint8_t stack,
                       const struct access_name *before)
{
    struct name_target *t = &x->targets[x->n++];

    t->name = x;
    t->entry = e;
    t->v4 = stack != IP_STACK_V6;
    t->v6 = stack != IP_STACK_V4;
    for (unsigned i = 0; before && i < before->n; i++) {
        if (before->targets[i].entry == e)
            t->gate = before->targets[i].gate;
    }
    list_front(t);
}

static void names_grow(struct access *a, uint32_t number)
{
    while (a->names_n <= number) {
        a->names = mem_grow(a->names, a->names_n, sizeof(void *));
        a->names[a->names_n++] = NULL;
    }
}

void access_name(struct access *a, uint32_t number, const char *text, const struct uuid *resources,
                 const uint8_t *stacks, unsigned n)
{
    struct access_name *before, *x = name_new(number, text, n);

    names_grow(a, number);
    before = a->names[number];
    for (unsigned i = 0; i < n; i++) {
        struct entry *e = access_find(a, &resources[i]);
        if (e)
            target_add(x, e, stacks[i], before);
    }
    a->names[number] = x;
    if (before)
        name_free(a, before);
    for (unsigned i = 0; i < x->n; i++)
        asked_update(a, &x->targets[i]);
    publish(a, x);
}

void access_name_answered(struct access *a, uint32_t number)
{
    struct access_name *x = number < a->names_n ? a->names[number] : NULL;
    time_ns due = TIME_NEVER;

    for (unsigned i = 0; x && i < x->n; i++) {
        struct name_target *t = &x->targets[i];
        list_out(t);
        list_front(t);
        if (!uuid_is_nil(&t->entry->gateway.id))
            assign(a, t);
        due = time_min(due, due_at(t));
    }
    wake_at(a, due); /* nothing else has changed: a query costs the same however many wait */
}

/* ---- what becomes of the resource ---- */

/* Some that have not been told yet. Returns how many it told. */
static unsigned tell_names(struct access *a, struct entry *e, unsigned max, time_ns end)
{
    unsigned n = 0;

    e->names_left = false;
    for (struct name_target *x = e->names; x; x = x->next) {
        if (x->gate.state != NAME_GATE_UNKNOWN)
            continue;
        if (n == max || (n % 16 == 15 && clock_now() >= end)) {
            e->names_left = true;
            break;
        }
        assign(a, x);
        n++;
    }
    return n;
}

void access_names_grant(struct access *a, struct entry *e)
{
    unsigned n = 0;

    for (struct name_target *x = e->names; x && n < TOLD_AT_ONCE; x = x->next, n++) {
        if (x->gate.state == NAME_GATE_KNOWN || x->gate.state == NAME_GATE_REFUSED)
            assign(a, x);
    }
    (void)tell_names(a, e, TOLD_AT_ONCE, TIME_NEVER);
    wake(a);
}

void access_names_connected(struct access *a, struct entry *e)
{
    for (struct name_target *x = a->asked, *next; x; x = next) {
        next = x->asked;
        if (x->entry == e && x->gate.sent_at == 0)
            tell(a, x);
    }
    wake(a);
}

void access_names_reachable(struct access *a, struct entry *e)
{
    for (struct name_target *x = e->names; x; x = x->next)
        publish(a, x->name);
}

void access_names_ended(struct access *a, struct entry *e)
{
    e->names_left = false;
    for (struct name_target *x = e->names; x; x = x->next) {
        if (x->gate.state == NAME_GATE_UNKNOWN)
            continue;
        name_gate_reset(&x->gate);
        asked_update(a, x);
        publish(a, x->name);
    }
}

void access_names_forget(struct access *a, struct entry *e)
{
    while (e->names) {
        struct access_name *before = e->names->name,
                           *x = name_new(before->number, before->text, before->n);
        for (unsigned i = 0; i < before->n; i++) {
            const struct name_target *t = &before->targets[i];
            uint8_t stack = t->v4 && t->v6 ? IP_STACK_DUAL : t->v4 ? IP_STACK_V4 : IP_STACK_V6;
            if (t->entry != e)
                target_add(x, t->entry, stack, before);
        }
        a->names[before->number] = x;
        name_free(a, before);
        for (unsigned i = 0; i < x->n; i++)
            asked_update(a, &x->targets[i]);
        publish(a, x);
    }
}

void access_inner(struct access *a, const struct uuid *gateway, const uint8_t *packet, size_t len)
{
    struct inner_domain_status m;
    struct fields f = {.failed = false};

    if (packet[INNER_OFF_EVENT] != INNER_DOMAIN_STATUS)
        return;
    if (!inner_read_domain_status(&m, packet, len, &f)) {
        log_debug("access", "a gateway's answer is passed over: %s", f.why);
        return;
    }
    struct entry *e = access_find(a, &m.resource);
    if (!e || !uuid_equal(&e->gateway.id, gateway))
        return;
    for (struct name_target *x = a->asked; x; x = x->asked) {
        if (x->entry != e || !inner_domain_equal(x->name->text, m.domain))
            continue;
        if (!m.active)
            log_info("access", "resource '%s': its gateway does not reach %s", e->name,
                     x->name->text);
        name_gate_status(&x->gate, m.active);
        asked_update(a, x);
        publish(a, x->name);
        return;
    }
}

bool access_names_want(struct access *a, const struct ip_addr *proxy)
{
    uint32_t number =
        proxy->family == ADDR_V4 ? proxy_name_v4(proxy->bytes) : proxy_name_v6(proxy->bytes);
    struct access_name *x = number < a->names_n ? a->names[number] : NULL;
    bool granted = false;

    for (unsigned i = 0; x && i < x->n; i++) {
        if (uuid_is_nil(&x->targets[i].entry->gateway.id))
            continue;
        access_entry_want(a, x->targets[i].entry);
        granted = true;
    }
    if (x && x->n > 0 && !granted)
        access_entry_want(a, x->targets[0].entry);
    return x && x->n > 0;
}

/* ---- time ---- */

bool access_names_step(struct access *a, time_ns end)
{
    time_ns now = clock_now();

    for (struct name_target *x = a->asked, *next; x; x = next) {
        next = x->asked;
        if (due_at(x) <= now)
            tell(a, x);
    }
    for (struct entry *e = a->list; e; e = e->next) {
        if (!e->names_left)
            continue;
        (void)tell_names(a, e, UINT32_MAX, end);
        if (e->names_left)
            return false;
    }
    return true;
}

time_ns access_names_poll_timeout(const struct access *a)
{
    time_ns first = TIME_NEVER;

    for (const struct name_target *x = a->asked; x; x = x->asked)
        first = time_min(first, due_at(x));
    for (const struct entry *e = a->list; e && first != 0; e = e->next)
        first = e->names_left ? 0 : first;
    return first;
}

void access_names_fini(struct access *a)
{
    for (size_t i = 0; i < a->names_n; i++) {
        if (a->names[i])
            name_free(a, a->names[i]);
    }
    free(a->names);
}
