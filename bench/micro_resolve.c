/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: what the control thread pays for the answer that the source cache lacked, asked of the kernel. The host
 * is a network namespace with two uplinks and a TUN; then with 10,000 routes in a table of ours, which must not matter,
 * and with as many in the main table, which have to be read.
 */
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/micro.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/source.h"

enum {
    ROUTES = 10000,
    OWN_TABLE = 7777,
    MAIN_TABLE = 254
};

enum resolve_kind {
    RESOLVE_HOST,
    RESOLVE_OWN_TABLE,
    RESOLVE_MAIN_TABLE
};

/* All are veth pairs, so that they are up and running; the resolver knows the TUN by its index only. */
static const char links[] = "link set lo up\n"
                            "link add up0 type veth peer name up0-peer\n"
                            "link add up1 type veth peer name up1-peer\n"
                            "link add tun type veth peer name tun-peer\n"
                            "link set up0-peer up\n"
                            "link set up1-peer up\n"
                            "link set tun-peer up\n"
                            "link set up0 up\n"
                            "link set up1 up\n"
                            "link set tun up\n";
static const char v4_rows[] = "addr add 192.0.2.10/24 dev up0\n"
                              "addr add 198.51.100.10/24 dev up1\n"
                              "addr add 100.64.0.1/32 dev tun\n"
                              "route add default via 192.0.2.1 dev up0 metric 50\n"
                              "route add default via 198.51.100.1 dev up1 metric 100\n"
                              "route add 0.0.0.0/1 dev tun\n"
                              "route add 128.0.0.0/1 dev tun\n";
static const char v6_rows[] = "addr add 2001:db8:1::10/64 dev up0 nodad\n"
                              "addr add 2001:db8:2::10/64 dev up1 nodad\n"
                              "addr add fd00:2021::1/128 dev tun nodad\n"
                              "route add default via 2001:db8:1::1 dev up0 metric 50\n"
                              "route add default via 2001:db8:2::1 dev up1 metric 100\n"
                              "route add ::/1 dev tun\n"
                              "route add 8000::/1 dev tun\n";

struct host {
    struct source *source; /* its socket keeps the namespace */
    struct ip_addr to;
    struct ip_source expected, found;
    enum err err;
};

static void write_routes(FILE *f, unsigned version, unsigned table)
{
    for (unsigned i = 0; i < ROUTES; i++) {
        if (version == ADDR_V4)
            fprintf(f, "route add 10.%u.%u.0/24", i / 256, i % 256);
        else
            fprintf(f, "route add fd00:0:%x::/48", i);
        fprintf(f, " dev %s table %u\n", table == OWN_TABLE ? "tun" : "up1", table);
    }
}

/* Builds the host in the caller's namespace. */
static bool build(unsigned version, enum resolve_kind kind)
{
    char command[96];
    FILE *f = tmpfile();
    if (!f)
        return false;
    fputs(links, f);
    fputs(version == ADDR_V4 ? v4_rows : v6_rows, f);
    if (kind != RESOLVE_HOST)
        write_routes(f, version, kind == RESOLVE_OWN_TABLE ? OWN_TABLE : MAIN_TABLE);
    bool ok = fflush(f) == 0;
    snprintf(command, sizeof command, "ip -%u -batch /dev/fd/%d >/dev/null 2>&1", version,
             fileno(f));
    ok = ok && system(command) == 0;
    fclose(f);
    return ok;
}

/* Likewise; what the resolver opens stays in there. */
static const char *fill(struct host *h, unsigned version, enum resolve_kind kind)
{
    static const uint32_t own = OWN_TABLE;
    bool v4 = version == ADDR_V4;

    if (!build(version, kind))
        return "the command ip does not build a host in a network namespace";
    struct source_config config = {
        .tun_ifindex = if_nametoindex("tun"), .own_tables = &own, .own_tables_len = 1};
    h->expected.ifindex = if_nametoindex("up0");
    enum err e = ip_addr_parse(&h->expected.ip, v4 ? "192.0.2.10" : "2001:db8:1::10");
    if (e == ERR_OK)
        e = ip_addr_parse(&h->to, v4 ? "203.0.113.5" : "2001:db8:9::5");
    if (e == ERR_OK)
        e = source_new(&h->source, &config);
    return e == ERR_OK ? NULL : err_text(e);
}

/* NULL, or why there is none. The caller's thread is in its own namespace again. */
static const char *host_open(struct host *h, const struct micro_case *c)
{
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    const char *why = "it needs root, for a network namespace";

    memset(h, 0, sizeof *h);
    if (home >= 0 && unshare(CLONE_NEWNET) == 0) {
        why = fill(h, c->len, (enum resolve_kind)c->kind);
        int back = setns(home, CLONE_NEWNET);
        ASSERT(back == 0);
    }
    if (home >= 0)
        close(home);
    return why;
}

static const char *missing(const struct micro_case *c)
{
    struct micro_case small = *c;
    struct host h;
    small.kind = RESOLVE_HOST;
    const char *why = host_open(&h, &small);
    source_free(h.source);
    return why;
}

static void *open_host(const struct micro_case *c, unsigned *items)
{
    struct host *h = mem_zalloc(1, sizeof *h);
    const char *why = host_open(h, c);
    ASSERT(!why); /* `missing` found that it can be done */
    *items = 1;
    return h;
}

static void prepare(void *state)
{
    struct host *h = state;
    memset(&h->found, 0, sizeof h->found);
    h->err = ERR_INVALID;
}

static void work(void *state)
{
    struct host *h = state;
    h->err = source_resolve(h->source, &h->to, &h->found);
}

static bool check(void *state)
{
    struct host *h = state;
    return h->err == ERR_OK && ip_addr_equal(&h->found.ip, &h->expected.ip) &&
           h->found.ifindex == h->expected.ifindex;
}

static void close_host(void *state)
{
    struct host *h = state;
    source_free(h->source);
    free(h);
}

void micro_resolve_cases(struct micro_list *l)
{
    static const struct micro_ops ops = {open_host, prepare, work, check, close_host};
    struct micro_case c = {.item = "question", .ops = &ops, .missing = missing};

    for (c.len = ADDR_V4; c.len <= ADDR_V6; c.len += ADDR_V6 - ADDR_V4) {
        c.kind = RESOLVE_HOST;
        c.ratio_goal = 0;
        micro_list_add(l, &c, false, "source_resolve/v%u/host", c.len);
        c.kind = RESOLVE_OWN_TABLE;
        c.ratio_goal = 0.8;
        micro_list_add(l, &c, true, "source_resolve/v%u/own_table/%u", c.len, (unsigned)ROUTES);
        c.kind = RESOLVE_MAIN_TABLE;
        c.ratio_goal = 0;
        micro_list_add(l, &c, false, "source_resolve/v%u/main_table/%u", c.len, (unsigned)ROUTES);
    }
}
