/* SPDX-License-Identifier: Apache-2.0 */
/* What is found in the properties of systemd-resolved. */
#include "platform/linux/resolved_servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>

#include "tests/support/bus_message.h"

enum {
    OWN = 7
};

struct server {
    int ifindex;
    const char *ip; /* NULL: an empty entry */
    unsigned port;  /* in the extended form */
};

static void append_server(sd_bus_message *m, const struct server *s, bool extended)
{
    struct ip_addr ip = {0};
    int family = AF_UNSPEC;

    if (s->ip) {
        assert_int_equal(ip_addr_parse(&ip, s->ip), ERR_OK);
        family = ip.family == ADDR_V4 ? AF_INET : AF_INET6;
    }
    assert_true(sd_bus_message_open_container(m, 'r', extended ? "iiayqs" : "iiay") >= 0);
    assert_true(sd_bus_message_append(m, "ii", s->ifindex, family) >= 0);
    assert_true(sd_bus_message_append_array(m, 'y', ip.bytes, s->ip ? ip_addr_len(&ip) : 0) >= 0);
    if (extended)
        assert_true(sd_bus_message_append(m, "qs", s->port, "dns.example") >= 0);
    assert_true(sd_bus_message_close_container(m) >= 0);
}

struct property {
    const char *name;
    struct server servers[12];
    unsigned n;
    bool single, extended;
};

static void append_property(sd_bus_message *m, const struct property *p)
{
    const char *type = p->extended ? "a(iiayqs)" : "a(iiay)";

    assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
    assert_true(sd_bus_message_append(m, "s", p->name) >= 0);
    assert_true(sd_bus_message_open_container(m, 'v', p->single ? type + 1 : type) >= 0);
    if (!p->single)
        assert_true(sd_bus_message_open_container(m, 'a', type + 1) >= 0);
    for (unsigned i = 0; i < p->n; i++)
        append_server(m, &p->servers[i], p->extended);
    if (!p->single)
        assert_true(sd_bus_message_close_container(m) >= 0);
    assert_true(sd_bus_message_close_container(m) >= 0);
    assert_true(sd_bus_message_close_container(m) >= 0);
}

#define LOTS                                                                                       \
    {0, "192.0.2.1", 0}, {0, "192.0.2.2", 0}, {0, "192.0.2.3", 0}, {0, "192.0.2.4", 0},            \
        {0, "192.0.2.5", 0}, {0, "192.0.2.6", 0}, {0, "192.0.2.7", 0}, {0, "192.0.2.8", 0},        \
    {                                                                                              \
        0, "192.0.2.9", 0                                                                          \
    }

static const struct {
    const char *what;
    struct property properties[4];
    const char *want;
} cases[] = {
    {"nothing", {{0}}, ""},
    {"in order, both families",
     {{"DNS", {{2, "192.0.2.2", 0}, {0, "2001:db8::1", 0}, {3, "192.0.2.1", 0}}, 3, false, false}},
     "192.0.2.2:53 [2001:db8::1]:53 192.0.2.1:53"},
    {"not of our link",
     {{"DNS", {{OWN, "100.100.111.1", 0}, {2, "192.0.2.1", 0}}, 2, false, false}},
     "192.0.2.1:53"},
    {"not resolved itself, but other local ones",
     {{"DNS",
       {{0, "127.0.0.53", 0}, {0, "127.0.0.54", 0}, {0, "127.0.0.1", 0}, {0, "::1", 0}},
       4,
       false,
       false}},
     "127.0.0.1:53 [::1]:53"},
    {"each once",
     {{"DNS", {{2, "192.0.2.1", 0}, {3, "192.0.2.1", 0}}, 2, false, false}},
     "192.0.2.1:53"},
    {"link-local ones have a scope, or are left out; others have none",
     {{"DNS", {{3, "fe80::1", 0}, {0, "fe80::2", 0}, {3, "fd00::1", 0}}, 3, false, false}},
     "[fe80::1%3]:53 [fd00::1]:53"},
    {"ports, whichever comes first",
     {{"DNS", {{0, "192.0.2.1", 0}}, 1, false, false},
      {"DNSEx", {{0, "192.0.2.1", 5353}, {0, "192.0.2.2", 0}}, 2, false, true}},
     "192.0.2.1:5353 192.0.2.2:53"},
    {"at most so many",
     {{"DNS", {LOTS}, 9, false, false}},
     "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53 192.0.2.4:53 192.0.2.5:53 192.0.2.6:53 192.0.2.7:53 "
     "192.0.2.8:53"},
    {"the current one when none is configured",
     {{"FallbackDNS", {{0, "192.0.2.9", 0}}, 1, false, false},
      {"DNS", {{OWN, "192.0.2.1", 0}}, 1, false, false},
      {"CurrentDNSServer", {{0, "192.0.2.8", 0}}, 1, true, false}},
     "192.0.2.8:53"},
    {"the fallback when there is no current one",
     {{"CurrentDNSServer", {{0, NULL, 0}}, 1, true, false},
      {"FallbackDNSEx", {{0, "192.0.2.9", 54}}, 1, false, true}},
     "192.0.2.9:54"},
};

static void texts(const struct sock_addr *list, unsigned n, char *out, size_t size)
{
    char one[SOCK_ADDR_TEXT_MAX];
    size_t len = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < n; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", i > 0 ? " " : "",
                                sock_addr_format(&list[i], one, sizeof one));
}

static void servers(void **state)
{
    (void)state;
    struct bus_alone a = bus_alone_open();

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sock_addr out[RESOLVERS_MAX];
        unsigned n;
        char got[RESOLVERS_MAX * SOCK_ADDR_TEXT_MAX];
        sd_bus_message *m = bus_message_new(&a);

        assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        assert_true(sd_bus_message_append(m, "{sv}", "LLMNR", "s", "yes") >= 0);
        for (unsigned k = 0; k < 4 && cases[i].properties[k].name; k++)
            append_property(m, &cases[i].properties[k]);
        assert_true(sd_bus_message_append(m, "{sv}", "CacheStatistics", "(ttt)", 1, 2, 3) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(bus_message_finish(m));
        assert_int_equal(resolved_servers_read(m, OWN, out, &n), ERR_OK);
        texts(out, n, got, sizeof got);
        if (strcmp(got, cases[i].want) != 0)
            print_error("case %u: %s\n", i, cases[i].what);
        assert_string_equal(got, cases[i].want);
        sd_bus_message_unref(m);
    }
    bus_alone_close(&a);
}

static void wrong_types(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type, *value;
    } wrong[] = {
        {"DNS", "s", "192.0.2.1"},          {"DNSEx", "s", "192.0.2.1"},
        {"CurrentDNSServer", "s", "x"},     {"CurrentDNSServerEx", "o", "/x"},
        {"FallbackDNS", "s", "192.0.2.53"}, {"FallbackDNSEx", "s", ""},
    };
    struct bus_alone a = bus_alone_open();
    struct sock_addr out[RESOLVERS_MAX];
    unsigned n;

    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        sd_bus_message *m = bus_message_new(&a);
        assert_true(sd_bus_message_append(m, "a{sv}", 1, wrong[i].name, wrong[i].type,
                                          wrong[i].value) >= 0);
        assert_true(bus_message_finish(m));
        assert_int_equal(resolved_servers_read(m, OWN, out, &n), ERR_PARSE);
        assert_int_equal(n, 0);
        sd_bus_message_unref(m);
    }
    sd_bus_message *m = bus_message_new(&a);
    assert_true(sd_bus_message_append(m, "s", "no properties at all") >= 0);
    assert_true(bus_message_finish(m));
    assert_int_equal(resolved_servers_read(m, OWN, out, &n), ERR_PARSE);
    sd_bus_message_unref(m);
    /* an address whose length is not its family's is no reason to do without the others */
    m = bus_message_new(&a);
    assert_true(sd_bus_message_append(m, "a{sv}", 1, "DNS", "a(iiay)", 2, 0, AF_INET6, 4, 1, 2, 3,
                                      4, 0, AF_INET, 4, 192, 0, 2, 1) >= 0);
    assert_true(bus_message_finish(m));
    assert_int_equal(resolved_servers_read(m, OWN, out, &n), ERR_OK);
    assert_int_equal(n, 1);
    sd_bus_message_unref(m);
    bus_alone_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers),
        cmocka_unit_test(wrong_types),
    };
    return cmocka_run_group_tests_name("resolved_servers", tests, NULL, NULL);
}
