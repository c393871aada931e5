/* SPDX-License-Identifier: Apache-2.0 */
/* Answers with addresses that only our stub gives out: each way to say them, what is beside them, and what is cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/dns/rebinding.h"
#include "platform/base/addr.h"
#include "platform/base/bytes.h"

enum {
    A = 1,
    CNAME = 5,
    AAAA = 28,
    SVCB = 64,
    HTTPS = 65,
    HEAD = 17 /* of a message: the header, and the root's question */
};

struct message {
    uint8_t bytes[512];
    size_t len;
};

static void put(struct message *m, const void *bytes, size_t len)
{
    memcpy(m->bytes + m->len, bytes, len);
    m->len += len;
}

static void put16(struct message *m, unsigned value)
{
    store_be16(m->bytes + m->len, (uint16_t)value);
    m->len += 2;
}

static void put_address(struct message *m, const char *text)
{
    struct ip_addr ip;

    assert_int_equal(ip_addr_parse(&ip, text), ERR_OK);
    put(m, ip.bytes, ip_addr_len(&ip));
}

/* Up to the data, which is to be `len` bytes. */
static void begin_record(struct message *m, const char *name, size_t name_len, unsigned type,
                         size_t len)
{
    static const uint8_t class_and_ttl[] = {0, 1, 0, 0, 1, 44};

    put(m, name, name_len);
    put16(m, type);
    put(m, class_and_ttl, sizeof class_and_ttl);
    put16(m, (unsigned)len);
}

static void put_record(struct message *m, unsigned type, const char *address)
{
    begin_record(m, "\xc0\x0c", 2, type, type == A ? 4 : 16);
    put_address(m, address);
}

static bool rebinds(const struct message *m)
{
    return dns_rebinds(m->bytes, m->len, HEAD);
}

static void addresses(void **state)
{
    static const struct {
        const char *address;
        bool ours;
    } rows[] = {
        {"100.96.0.0", true},
        {"100.127.255.255", true},
        {"100.100.111.1", true},
        {"100.95.255.255", false}, /* a host's in the tunnel, which somebody may publish */
        {"100.128.0.0", false},
        {"192.0.2.1", false},
        {"fd00:2021:1111:8000::", true},
        {"fd00:2021:1111:8000::1f:ffff", true},
        {"fd00:2021:1111:8000::20:0", false},
        {"fd00:2021:1111:8000:100:100:111:ff", true},
        {"fd00:2021:1111:8000:100:100:112:0", false},
        {"fd00:2021:1111::1", false},
        {"::ffff:100.96.0.1", true},
        {"::ffff:192.0.2.1", false},
        {"2001:db8::1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned type = strchr(rows[i].address, ':') ? AAAA : A;
        struct message m = {.len = HEAD};
        put_record(&m, A, "192.0.2.7");
        put_record(&m, type, rows[i].address);
        put_record(&m, AAAA, "2001:db8::7");
        if (rebinds(&m) != rows[i].ours)
            fail_msg("%s", rows[i].address);
        for (size_t len = 0; len < m.len; len++) { /* cut off: the whole record, or nothing */
            struct message cut = {.len = len};
            memcpy(cut.bytes, m.bytes, len);
            size_t ends = m.len - 28;
            assert_int_equal(rebinds(&cut), rows[i].ours && len >= ends);
        }
    }
}

static void hints(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        unsigned type = i & 1 ? HTTPS : SVCB;
        bool ours = i & 2;
        struct message m = {.len = HEAD};
        begin_record(&m, "\3www\xc0\x0c", 6, type, 2 + 3 + 4 + 3 + 4 + 8 + 4 + 32);
        put16(&m, 1);
        put(&m, "\1a", 3);
        put16(&m, 1); /* alpn */
        put16(&m, 3);
        put(&m, "\2h2", 3);
        put16(&m, 4);
        put16(&m, 8);
        put_address(&m, "192.0.2.1");
        put_address(&m, ours && type == SVCB ? "100.96.0.1" : "192.0.2.2");
        put16(&m, 6);
        put16(&m, 32);
        put_address(&m, "2001:db8::1");
        put_address(&m, ours && type == HTTPS ? "fd00:2021:1111:8000::1" : "2001:db8::2");
        assert_int_equal(rebinds(&m), ours);
        m.bytes[m.len - 35] = 33; /* longer than the data */
        assert_int_equal(rebinds(&m), ours && type == SVCB);
    }
}

/* Data of other types is none of addresses, and what cannot be read ends it. */
static void other_records(void **state)
{
    struct message m = {.len = HEAD};

    (void)state;
    begin_record(&m, "\0", 1, CNAME, 4);
    put_address(&m, "100.96.0.1");
    begin_record(&m, "\0", 1, SVCB, 1);
    put(&m, "\0", 1);
    assert_false(rebinds(&m));
    size_t len = m.len;
    put(&m, "\x40", 1); /* no label, no pointer */
    put_record(&m, A, "100.96.0.1");
    assert_false(rebinds(&m));
    m.len = len;
    put_record(&m, A, "100.96.0.1");
    assert_true(rebinds(&m));
    assert_false(dns_rebinds(m.bytes, 0, HEAD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(hints),
        cmocka_unit_test(other_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
