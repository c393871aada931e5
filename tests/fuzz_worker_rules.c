/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the client's and the gateway's rules: IP packets of the host and of the peer, in a worker without threads. Input: the role,
 * then packets, each behind a byte for where it comes from and one for its length. Every packet has exactly one verdict, and what
 * is forwarded has right IP checksums.
 */
#define assert_true(x)         ASSERT(x)
#define assert_int_equal(a, b) ASSERT((a) == (b))
#define assert_non_null(x)     ASSERT((x) != NULL)

#include "engine/client.h"
#include "engine/grants.h"
#include "engine/wire/ranges.h"
#include "tests/worker_rig.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ip_addr ip(const char *text)
{
    struct ip_addr a = {.family = ADDR_NONE};
    ASSERT(ip_addr_parse(&a, text) == ERR_OK);
    return a;
}

static void set_up_client(void)
{
    static const struct filter_rule web[] = {{FILTER_TCP, 80, 443}};
    uint32_t peer = engine_peer_value(rig.peers[0]);
    const struct engine_resource resources[] = {
        {.kind = ENGINE_RESOURCE_CIDR,
         .peer = peer,
         .waits = ENGINE_NONE,
         .rules = web,
         .rules_n = 1},
        {.kind = ENGINE_RESOURCE_DNS, .peer = peer, .waits = ENGINE_NONE},
        {.kind = ENGINE_RESOURCE_INTERNET, .peer = peer, .waits = ENGINE_NONE}};
    const struct engine_policy_route routes[] = {
        {{ip("10.0.0.0"), 8}, 0, 1}, {{ip("0.0.0.0"), 0}, 2, 2}, {{ip("::"), 0}, 2, 2}};
    const struct engine_policy p = {.ipv4 = ip("100.64.0.1"),
                                    .ipv6 = ip("fd00:2021:1111::1"),
                                    .stubs = {ip("100.100.111.1")},
                                    .stubs_n = 1,
                                    .resources = resources,
                                    .resources_n = ARRAY_LEN(resources),
                                    .routes = routes,
                                    .routes_n = ARRAY_LEN(routes)};
    const struct engine_name_target name = {
        .resource = 1, .v4 = true, .v6 = true, .waits = ENGINE_NONE};

    ASSERT(engine_set_policy(rig.engine, &p) == ERR_OK);
    ASSERT(engine_set_name(rig.engine, 0, &name, 1) == ERR_OK);
    engine_watch_port(rig.engine, ENGINE_WATCH_UDP, 50000, true);
}

static void set_up_gateway(void) REQUIRES_ROLE(role_worker)
{
    static struct engine_translation t;
    struct ip_addr v4 = ip("100.64.0.9"), v6 = ip("fd00:2021:1111::9");
    const struct engine_grant list[] = {
        {.index = 1, .kind = ENGINE_GRANT_CIDR, .prefix = {ip("10.0.0.0"), 8}},
        {.index = 2, .kind = ENGINE_GRANT_DNS}};
    const struct engine_grants g = {.ipv4 = ip("100.64.0.1"),
                                    .ipv6 = ip("fd00:2021:1111::1"),
                                    .grants = list,
                                    .n = ARRAY_LEN(list)};
    const struct engine_route routes[] = {
        {{ip("100.64.0.1"), 32}, engine_peer_value(rig.peers[0])},
        {{ip("fd00:2021:1111::1"), 128}, engine_peer_value(rig.peers[0])}};
    struct event_ack a;

    ASSERT(engine_set_routes(rig.engine, routes, ARRAY_LEN(routes)) == ERR_OK);
    engine_set_gateway(rig.engine, &v4, &v6);
    ASSERT(engine_set_grants(rig.engine, rig.peers[0], &g) == ERR_OK);
    t = (struct engine_translation){.grant = 2, .domain = 1, .n = 2};
    t.pairs[0].proxy = proxy_addr_v4(0, 0);
    t.pairs[0].real = ip("192.168.1.1");
    t.pairs[1].proxy = proxy_addr_v6(0, 0);
    t.pairs[1].real = ip("2001:db8::1");
    rig_command(0, &(struct command){.kind = COMMAND_TRANSLATE, .slot = 0, .translation = &t});
    while (engine_pop_ack(rig.engine, &a))
        ASSERT(a.kind == ACK_TRANSLATED && a.done);
}

static void from_host(const uint8_t *bytes, size_t len) REQUIRES_ROLE(role_worker)
{
    struct io_rx *rx = rig_record(0, IO_RX_TUN);

    ASSERT(rx);
    memset(rx->data, 0, IO_VNET_LEN);
    memcpy(rx->data + IO_VNET_LEN, bytes, len);
    rx->len = (uint32_t)(IO_VNET_LEN + len);
    rig_loop(0);
}

static void from_peer(const uint8_t *bytes, size_t len) REQUIRES_ROLE(role_worker)
{
    unsigned n = rig.io[0].sends_n;

    rig_command(0, &(struct command){.kind = COMMAND_PACKET,
                                     .slot = 0,
                                     .block = engine_block_new(bytes, (uint32_t)len)});
    if (rig.io[0].sends_n == n)
        return;
    rig_receive(0, 0, n, "192.0.2.2:1");
    rig_loop(0);
}

static void check_frame(void)
{
    const uint8_t *p = rig.io[0].frame + IO_VNET_LEN;
    struct ip_view v;

    if (rig.io[0].frame_len <= IO_VNET_LEN)
        return;
    ASSERT(ip_parse(&v, p, rig.io[0].frame_len - IO_VNET_LEN) && ip_l4_valid(&v, p));
    rig.io[0].frame_len = 0;
}

static void drain(void)
{
    struct event_packet p;
    struct event_edge e;
    struct event_ack a;

    while (engine_pop_packet(rig.engine, &p) || engine_pop_dns(rig.engine, &p))
        ASSERT(p.len <= EVENT_PACKET_MAX);
    while (engine_pop_edge(rig.engine, &e))
        continue;
    while (engine_pop_ack(rig.engine, &a))
        ASSERT(false);
}

static void run(const uint8_t *data, size_t size) REQUIRES_ROLE(role_worker)
{
    uint64_t hosts = 0, peers = 0;

    while (size >= 2) {
        size_t len = size_min((size_t)data[1] + 1, size - 2);
        bool peer = data[0] & 1;
        rig.now += data[0] * NS_PER_SEC / 8;
        if (len == 0 || rig.io[0].sends_n + 8 > RIG_SENDS_MAX)
            return;
        if (peer)
            from_peer(data + 2, len);
        else
            from_host(data + 2, len);
        *(peer ? &peers : &hosts) += 1;
        check_frame();
        drain();
        data += 2 + len;
        size -= 2 + len;
    }
    ASSERT(rig_out() >= hosts); /* what the rig sends as the peer counts, too */
    ASSERT(rig_in() <= peers);
}

static void run_role(const uint8_t *data, size_t size) REQUIRES_ROLE(role_worker)
{
    struct engine_config config = {.workers = 1,
                                   .crypto = CRYPT_BORINGSSL,
                                   .fixed_paths = true,
                                   .role = data[0] & 1 ? ENGINE_GATEWAY : ENGINE_CLIENT};

    rig_start(&config, 1);
    if (config.role == ENGINE_CLIENT)
        set_up_client();
    else
        set_up_gateway();
    rig_session(0);
    run(data + 1, size - 1);
    rig_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    role_enter(&role_worker);
    run_role(data, size);
    role_leave(&role_worker);
    return 0;
}
