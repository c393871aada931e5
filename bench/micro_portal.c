/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control thread does with the portal's `init`, which names every resource: from the text of the frame to the table of
 * resources, as it does after the first join (all of them are new) and after each later one (nothing has changed).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro.h"
#include "control/portal/messages.h"
#include "control/portal/phoenix.h"
#include "control/resources.h"
#include "control/wiped.h"
#include "platform/base/mem.h"

enum {
    RESOURCES = 10000,
    RESOURCE_TEXT_MAX = 512
};

enum kind {
    INIT_FIRST,
    INIT_AGAIN
};

struct state {
    bool again;
    struct phoenix channel;
    struct resources resources;
    size_t changes;
    bool done; /* by `work` */
    json_malloc_t malloc_before;
    json_free_t free_before;
    char *frame;
    size_t frame_len;
};

static size_t write_resource(char *out, unsigned i)
{
    const char *comma = i > 0 ? "," : "";
    char id[64];

    snprintf(id, sizeof id, "%08x-bfa1-4c6e-9d0a-%012x", i * 2654435761u, i);
    return (
        size_t)(i % 2 == 0
                    ? snprintf(
                          out, RESOURCE_TEXT_MAX,
                          "%s{\"type\":\"dns\",\"id\":\"%s\",\"name\":\"Service %u\",\"address\":"
                          "\"*.service-%u.corp.example\",\"address_description\":null,\"ip_stack\":"
                          "\"dual\",\"filters\":[{\"protocol\":\"tcp\",\"port_range_start\":443,"
                          "\"port_range_end\":443},{\"protocol\":\"icmp\"}],\"sites\":[{\"id\":"
                          "\"5e1f0000-bfa1-4c6e-9d0a-0000000000%02x\",\"name\":\"Frankfurt\"}]}",
                          comma, id, i, i, i % 16)
                    : snprintf(
                          out, RESOURCE_TEXT_MAX,
                          "%s{\"type\":\"cidr\",\"id\":\"%s\",\"name\":\"Network %u\",\"address\":"
                          "\"10.%u.%u.0/24\",\"address_description\":\"a lab\",\"filters\":[],"
                          "\"sites\":[{\"id\":\"5e1f0000-bfa1-4c6e-9d0a-0000000000%02x\",\"name\":"
                          "\"Frankfurt\"}]}",
                          comma, id, i, i >> 8, i & 255, i % 16));
}

static void write_frame(struct state *s)
{
    static const char head[] =
        "{\"topic\":\"client\",\"event\":\"init\",\"ref\":null,\"payload\":{\"interface\":{\"ipv4\":"
        "\"100.70.12.4\",\"ipv6\":\"fd00:2021:1111::a:1f04\",\"search_domain\":null,"
        "\"upstream_do53\":[],\"upstream_doh\":[],\"upstream_dns\":[]},\"relays\":[],\"resources\":[";
    s->frame = mem_zalloc(RESOURCES + 4, RESOURCE_TEXT_MAX);
    s->frame_len = (size_t)sprintf(s->frame, "%s", head);
    for (unsigned i = 0; i < RESOURCES; i++)
        s->frame_len += write_resource(s->frame + s->frame_len, i);
    s->frame_len += (size_t)sprintf(s->frame + s->frame_len, "]}}");
}

static void on_change(void *arg, enum resource_change change, const struct resource *r)
{
    struct state *s = arg;
    (void)change;
    (void)r;
    s->changes++;
}

static void join(struct phoenix *channel)
{
    static const char reply[] =
        "{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":0,\"payload\":"
        "{\"status\":\"ok\",\"response\":{}}}";
    struct phoenix_event event;
    char *out = mem_zalloc(1, PHOENIX_FRAME_MAX);
    size_t len;

    phoenix_init(channel, "client", json_null());
    phoenix_opened(channel, 0);
    while (phoenix_poll_transmit(channel, out, &len))
        ;
    phoenix_handle_input(channel, 0, reply, sizeof reply - 1, &event);
    ASSERT(event.kind == PHOENIX_JOIN_ACCEPTED);
    free(out);
}

static void *open_state(const struct micro_case *c, unsigned *items)
{
    struct state *s = mem_zalloc(1, sizeof *s);

    json_get_alloc_funcs(&s->malloc_before, &s->free_before);
    wiped_json(); /* as the client does */
    s->again = c->kind == INIT_AGAIN;
    *items = 1;
    resources_init(&s->resources, on_change, s);
    join(&s->channel);
    write_frame(s);
    return s;
}

static void work(void *state)
{
    struct state *s = state;
    struct phoenix_event event;
    struct fields f = {.failed = false};
    struct message m;

    phoenix_handle_input(&s->channel, 0, s->frame, s->frame_len, &event);
    if (event.kind == PHOENIX_MESSAGE && message_read(&m, event.name, event.payload, &f) &&
        m.kind == MESSAGE_INIT)
        resources_replace(&s->resources, m.resources);
    phoenix_event_release(&event);
    s->done = true;
}

static void prepare(void *state)
{
    struct state *s = state;
    if (!s->again)
        resources_fini(&s->resources);
    else if (s->resources.n == 0)
        work(s);
    s->changes = 0;
    s->done = false;
}

static bool check(void *state)
{
    struct state *s = state;
    return s->done && s->resources.n == RESOURCES && s->changes == (s->again ? 0 : RESOURCES);
}

static void close_state(void *state)
{
    struct state *s = state;
    resources_fini(&s->resources);
    phoenix_fini(&s->channel);
    json_set_alloc_funcs(s->malloc_before, s->free_before);
    free(s->frame);
    free(s);
}

void micro_portal_cases(struct micro_list *l)
{
    static const struct micro_ops ops = {open_state, prepare, work, check, close_state};
    const struct micro_case first = {.item = "message", .ops = &ops, .kind = INIT_FIRST};
    const struct micro_case again = {.item = "message", .ops = &ops, .kind = INIT_AGAIN};

    micro_list_add(l, &first, false, "portal/init/first/%u", RESOURCES);
    micro_list_add(l, &again, false, "portal/init/again/%u", RESOURCES);
}
