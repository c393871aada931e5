/* SPDX-License-Identifier: Apache-2.0 */
/* The table of resources: what is reported, what outlives a message, and a random comparison with a naive one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/resources.h"
#include "platform/base/bytes.h"

enum {
    LOG_MAX = 4096,
    IDS = 24,
    ROUNDS = 3000
};

struct heard {
    char text[LOG_MAX]; /* "+name ~name -name " */
    size_t len;
};

static void on_change(void *arg, enum resource_change change, const struct resource *r)
{
    static const char signs[] = {
        [RESOURCE_ADDED] = '+', [RESOURCE_CHANGED] = '~', [RESOURCE_REMOVED] = '-'};
    struct heard *h = arg;
    h->len += (size_t)snprintf(h->text + h->len, sizeof h->text - h->len, "%c%s ", signs[change],
                               r->name);
    assert_true(h->len < sizeof h->text);
}

static void expect_heard(struct heard *h, const char *text)
{
    assert_string_equal(h->text, text);
    memset(h, 0, sizeof *h);
}

static struct uuid id_of(unsigned n)
{
    struct uuid id = {{0x11, 0x11}};
    id.bytes[15] = (uint8_t)n;
    return id;
}

static json_t *resource_json(unsigned id, const char *type, const char *name, const char *address)
{
    char uuid[UUID_TEXT_MAX];
    struct uuid u = id_of(id);
    uuid_format(&u, uuid);
    return json_pack("{s:s, s:s, s:s, s:s, s:[{s:s}, {s:s, s:i, s:i}], s:[{s:s, s:s}]}", "type",
                     type, "id", uuid, "name", name, "address", address, "filters", "protocol",
                     "icmp", "protocol", "tcp", "port_range_start", 80, "port_range_end", 81,
                     "sites", "id", "11111111-0000-4000-8000-000000000001", "name", "Site");
}

/* Each line: id, type, name, address; ends with an id of 0. */
struct row {
    unsigned id;
    const char *type, *name, *address;
};

static json_t *list_json(const struct row *rows)
{
    json_t *list = json_array();
    for (; rows->id; rows++)
        json_array_append_new(list, resource_json(rows->id, rows->type, rows->name, rows->address));
    return list;
}

static void replace(struct resources *s, const struct row *rows)
{
    json_t *list = list_json(rows);
    resources_replace(s, list);
    json_decref(list); /* what was kept must not depend on it */
}

static void test_snapshots(void **state)
{
    (void)state;
    struct heard h = {{0}, 0};
    struct resources s;

    resources_init(&s, on_change, &h);
    replace(&s, (struct row[]){{3, "dns", "c", "c.example"},
                               {1, "cidr", "a", "10.0.0.0/8"},
                               {2, "dns", "b", "*.b.example"},
                               {0}});
    expect_heard(&h, "+a +b +c ");
    /* The same again, in another order. */
    replace(&s, (struct row[]){{1, "cidr", "a", "10.0.0.0/8"},
                               {2, "dns", "b", "*.b.example"},
                               {3, "dns", "c", "c.example"},
                               {0}});
    expect_heard(&h, "");
    replace(&s, (struct row[]){{2, "dns", "b2", "*.b.example"},
                               {1, "cidr", "a", "10.0.0.0/9"},
                               {5, "dns", "e", "e"},
                               {0}});
    expect_heard(&h, "-c ~a ~b2 +e ");
    assert_int_equal(s.n, 3);

    struct uuid id = id_of(1);
    const struct resource *r = resources_find(&s, &id);
    assert_non_null(r);
    assert_string_equal(r->address, "10.0.0.0/9");
    assert_int_equal(r->prefix.len, 9);
    assert_string_equal(r->site_name, "Site");
    assert_null(r->description);
    assert_int_equal(r->filters_n, 2);
    assert_int_equal(r->filters[0].protocol, PROTOCOL_ICMP);
    assert_int_equal(r->filters[1].port_last, 81);
    id = id_of(3);
    assert_null(resources_find(&s, &id));

    resources_replace(&s, NULL);
    expect_heard(&h, "-a -b2 -e ");
    resources_fini(&s);
}

static void test_bad_elements(void **state)
{
    (void)state;
    struct heard h = {{0}, 0};
    struct resources s;
    json_t *list = list_json((struct row[]){{1, "dns", "a", "a.example"},
                                            {2, "cidr", "bad", "10.0.0.1/8"},
                                            {3, "teapot", "unknown", "x"},
                                            {4, "dns", "first", "d"},
                                            {4, "dns", "second", "d"},
                                            {0}});
    json_array_append_new(list, json_string("not even an object"));

    resources_init(&s, on_change, &h);
    resources_replace(&s, list);
    json_decref(list);
    expect_heard(&h, "+a +second ");
    resources_fini(&s);
}

static void test_single_changes(void **state)
{
    (void)state;
    struct heard h = {{0}, 0};
    struct resources s;
    struct message_resource m = {.kind = RESOURCE_DNS,
                                 .id = id_of(9),
                                 .name = "n",
                                 .address = "n.example",
                                 .site_name = "Site"};
    struct uuid id = id_of(9);

    resources_init(&s, on_change, &h);
    resources_upsert(&s, &m);
    resources_upsert(&s, &m);
    m.description = "now it has one";
    resources_upsert(&s, &m);
    m.ip_stack = IP_STACK_V6;
    resources_upsert(&s, &m);
    expect_heard(&h, "+n ~n ~n ");
    assert_true(resources_remove(&s, &id));
    assert_false(resources_remove(&s, &id));
    expect_heard(&h, "-n ");
    resources_fini(&s);
}

static void test_pools(void **state)
{
    (void)state;
    struct heard h = {{0}, 0};
    struct resources s;
    json_t *list = json_loads(
        "[{\"type\":\"static_device_pool\",\"id\":\"3b0c7a52-0000-4000-8000-000000000001\","
        "\"name\":\"Cameras\",\"filters\":[{\"protocol\":\"udp\"}],\"devices\":[{\"client_id\":"
        "\"3b0c7a52-0000-4000-8000-000000000009\",\"ipv4\":\"100.64.1.38/32\",\"ipv6\":"
        "\"fd00:2021:1111::125/128\"}]},{\"type\":\"dynamic_device_pool\",\"id\":"
        "\"3b0c7a52-0000-4000-8000-000000000002\",\"name\":\"Laptops\",\"address\":"
        "\"*.laptops.example\",\"filters\":[]}]",
        0, NULL);

    assert_non_null(list);
    resources_init(&s, on_change, &h);
    resources_replace(&s, list);
    expect_heard(&h, "+Cameras +Laptops ");
    assert_int_equal(s.list[0]->devices_n, 1);
    assert_int_equal(s.list[0]->filters_n, 1);
    assert_int_equal(s.list[0]->filters[0].protocol, PROTOCOL_UDP);
    assert_int_equal(s.list[0]->devices[0].ipv4.family, ADDR_V4);
    assert_string_equal(s.list[1]->address, "*.laptops.example");
    assert_null(s.list[1]->site_name);
    json_array_clear(json_object_get(json_array_get(list, 0), "devices"));
    resources_replace(&s, list);
    expect_heard(&h, "~Cameras ");
    json_decref(list);
    resources_fini(&s);
}

/* Against an array of names by id. */
static void test_random(void **state)
{
    (void)state;
    struct heard h = {{0}, 0};
    struct resources s;
    char names[IDS][8] = {{0}};

    srandom(4);
    resources_init(&s, on_change, &h);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned n = (unsigned)random() % IDS, what = (unsigned)random() % 40;
        struct uuid id = id_of(n);
        if (what == 0) {
            json_t *list = json_array();
            for (unsigned i = 0; i < IDS; i++) {
                snprintf(names[i], sizeof names[i], "%s", random() % 2 ? "x" : "");
                if (names[i][0])
                    json_array_append_new(list, resource_json(i, "dns", names[i], "a"));
            }
            resources_replace(&s, list);
            json_decref(list);
        } else if (what < 20) {
            struct message_resource m = {
                .kind = RESOURCE_DNS, .id = id, .name = names[n], .address = "a", .site_name = "s"};
            snprintf(names[n], sizeof names[n], "%u", round % 7);
            resources_upsert(&s, &m);
        } else {
            assert_int_equal(resources_remove(&s, &id), names[n][0] != 0);
            names[n][0] = 0;
        }
        h.len = 0;
        for (unsigned i = 0; i < IDS; i++) {
            struct uuid other = id_of(i);
            const struct resource *r = resources_find(&s, &other);
            assert_int_equal(r != NULL, names[i][0] != 0);
            if (r)
                assert_string_equal(r->name, names[i]);
        }
    }
    resources_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshots),      cmocka_unit_test(test_bad_elements),
        cmocka_unit_test(test_single_changes), cmocka_unit_test(test_pools),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
