/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Windows resolver and its host routes on tables and answers that the input describes: whatever IP Helper says, an answer is on an
 * adapter that is up and not ours, and what was created is deleted again.
 */
#include "platform/windows/adapters.c"
#include "platform/windows/host_route.c"
#undef MODULE
#include "platform/windows/own_hosts.c"
#include "platform/windows/source_best.c"
#include "tests/support/ip_helper_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t n;
};

static uint8_t take(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

static struct ip_addr take_address(struct input *in)
{
    struct ip_addr a = {.family = take(in) % 2 ? ADDR_V6 : ADDR_V4};
    for (unsigned i = 0; i < 4; i++)
        a.bytes[i] = take(in);
    return a;
}

static struct ip_prefix take_prefix(struct input *in)
{
    struct ip_prefix p = {.ip = take_address(in)};
    p.len = (uint8_t)(take(in) % (ip_addr_bits(&p.ip) + 1));
    return p;
}

static void take_tables(struct input *in, struct fake_helper *f)
{
    fake_helper_init(f);
    f->adapters_n = take(in) % (FAKE_ADAPTERS_MAX + 1);
    for (unsigned i = 0; i < f->adapters_n; i++) {
        struct ip_helper_adapter *a = &f->adapters[i];
        uint8_t bits = take(in);
        *a = (struct ip_helper_adapter){.luid = take(in) % 8, .up = bits & 1};
        a->ifindex = a->ifindex_v6 = i + 1;
        if (bits & 2)
            memcpy(a->name, "Firezone", sizeof "Firezone");
        f->metric_fails[i] = bits & 4;
        f->best_fails[i] = bits & 8;
        f->metrics[i] = take(in);
        f->source_family[i] = take(in) % 32;
        if (bits & 16)
            f->lent[i] = take_address(in);
        if (bits & 32)
            f->route_luid[i] = take(in) % 8;
        a->addresses_n = bits >> 6;
        for (unsigned k = 0; k < a->addresses_n; k++)
            a->addresses[k] = take_prefix(in);
    }
    f->routes_n = take(in) % 32;
    for (unsigned i = 0; i < f->routes_n; i++) {
        f->routes[i] = (struct ip_helper_route){.luid = take(in) % 8, .metric = take(in)};
        f->routes[i].protocol = take(in) % 5;
        f->routes[i].dst = take_prefix(in);
        f->routes[i].next_hop = take_address(in);
        f->routes[i].next_hop.family = f->routes[i].dst.ip.family;
    }
    uint8_t bits = take(in);
    f->best_error = bits & 1 ? IP_HELPER_NOT_SUPPORTED : 0;
    f->list_error = bits & 2 ? 87 : 0;
    f->table_error = bits & 4 ? 5 : 0;
    f->create_error = bits & 8 ? 5 : 0;
    f->list_needed = (unsigned long)take(in) * 200;
}

static void check(const struct fake_helper *f, uint64_t tun, const struct source_best *best)
{
    bool found = false;
    for (unsigned i = 0; i < f->adapters_n; i++) {
        const struct ip_helper_adapter *a = &f->adapters[i];
        found = found || (a->ifindex == best->source.ifindex && a->up &&
                          a->luid == best->route.luid && (tun == 0 || a->luid != tun));
        ASSERT(tun == 0 || a->luid != tun || !adapter_has_address(a, &best->source.ip));
    }
    ASSERT(found && !is_unspecified(&best->source.ip));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fake_helper f;
    static struct own_hosts own = OWN_HOSTS_INIT;
    struct input in = {data, size};
    struct host_routes routes;

    take_tables(&in, &f);
    host_routes_init(&routes, &f.helper, &own);
    unsigned before = f.routes_n;
    for (unsigned i = 0; i < 8 && in.n > 0; i++) {
        uint64_t tun = take(&in) % 8;
        struct ip_addr dst = take_address(&in);
        struct source_best best;
        struct host_route *route;
        (void)source_best_interface(&f.helper, tun, &dst);
        (void)source_best_luid(&f.helper, take(&in));
        if (source_best(&f.helper, tun, &dst, &best) != ERR_OK)
            continue;
        check(&f, tun, &best);
        ASSERT(best.source.ip.family == dst.family);
        if (host_routes_get(&routes, &dst, &best.route, &route) == ERR_OK && take(&in) % 2)
            host_routes_put(&routes, route);
    }
    host_routes_fini(&routes);
    ASSERT(f.routes_n == before && f.tables_out == 0);
    return 0;
}
