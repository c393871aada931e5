/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd-resolved is told and asked, with a bus and a resolved of the test's own. */
#include "platform/linux/dns_systemd_resolved.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fake_bus.h"

enum {
    WHY_MAX = 512
};

static struct fake_bus fake;
static unsigned loopback; /* an interface that is there */
static const uint32_t gone = 4711;

/* ---- resolved ---- */

/* Orders. */
enum {
    NORMAL = '=',
    DENY = 'd',
    NO_POLKIT = 'p',
    NO_LINK = 'l',
    LATE_LINK = '3', /* three times no link, then well */
    OLD = 'o',
    SILENT = 's',
    BUSY = 'b',
    WRONG_TYPES = 'w',
    CHANGED = 'c' /* says so, several times, and is as before */
};

static int note_servers(struct fake_service *s, sd_bus_message *m)
{
    char text[256] = "", one[IP_TEXT_MAX];
    int ifindex, family;
    size_t size;
    const void *bytes;

    ASSERT(sd_bus_message_read(m, "i", &ifindex) > 0);
    ASSERT(sd_bus_message_enter_container(m, 'a', "(iay)") > 0);
    while (sd_bus_message_enter_container(m, 'r', "iay") > 0) {
        ASSERT(sd_bus_message_read(m, "i", &family) > 0);
        ASSERT(sd_bus_message_read_array(m, 'y', &bytes, &size) > 0);
        ASSERT(size == (family == AF_INET ? 4 : 16));
        struct ip_addr ip = size == 4 ? ip_addr_v4(bytes) : ip_addr_v6(bytes);
        strcat(strcat(text, " "), ip_addr_format(&ip, one, sizeof one));
        ASSERT(sd_bus_message_exit_container(m) > 0);
    }
    fake_note(s, "SetLinkDNS %d%s", ifindex, text);
    return 0;
}

static void note_domains(struct fake_service *s, sd_bus_message *m)
{
    char text[256] = "";
    int ifindex, route_only;
    const char *domain;

    ASSERT(sd_bus_message_read(m, "i", &ifindex) > 0);
    ASSERT(sd_bus_message_enter_container(m, 'a', "(sb)") > 0);
    while (sd_bus_message_read(m, "(sb)", &domain, &route_only) > 0)
        strcat(strcat(text, route_only ? " ~" : " "), domain);
    fake_note(s, "SetLinkDomains %d%s", ifindex, text);
}

static void note(struct fake_service *s, sd_bus_message *m)
{
    const char *member = sd_bus_message_get_member(m), *text;
    int ifindex, on;

    if (strcmp(member, "SetLinkDNS") == 0) {
        note_servers(s, m);
    } else if (strcmp(member, "SetLinkDomains") == 0) {
        note_domains(s, m);
    } else if (strcmp(member, "SetLinkDefaultRoute") == 0) {
        ASSERT(sd_bus_message_read(m, "ib", &ifindex, &on) > 0);
        fake_note(s, "%s %d %d", member, ifindex, on);
    } else if (strcmp(member, "SetLinkLLMNR") == 0 || strcmp(member, "SetLinkDNSOverTLS") == 0 ||
               strcmp(member, "SetLinkDNSSEC") == 0) {
        ASSERT(sd_bus_message_read(m, "is", &ifindex, &text) > 0);
        fake_note(s, "%s %d %s", member, ifindex, text);
    } else if (strcmp(member, "RevertLink") == 0) {
        ASSERT(sd_bus_message_read(m, "i", &ifindex) > 0);
        fake_note(s, "%s %d", member, ifindex);
    } else if (strcmp(member, "FlushCaches") == 0) {
        fake_note(s, "%s", member);
    }
}

static int answer_properties(struct fake_service *s, sd_bus_message *m)
{
    const char *iface;

    ASSERT(sd_bus_message_read(m, "s", &iface) > 0 && strcmp(iface, MANAGER) == 0);
    if (s->mode == WRONG_TYPES)
        return sd_bus_reply_method_return(m, "a{sv}", 1, "DNS", "as", 1, "192.0.2.1");
    return sd_bus_reply_method_return(m, "a{sv}", 2, "LLMNR", "s", "yes", "DNS", "a(iiay)", 2, 0,
                                      AF_INET, 4, 192, 0, 2, 1, (int)loopback, AF_INET, 4, 100, 100,
                                      111, 1);
}

static int answer(struct fake_service *s, sd_bus_message *m)
{
    if (s->mode == SILENT && !sd_bus_message_is_method_call(m, MANAGER, "RevertLink"))
        return 1;
    if (s->mode == DENY)
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED, "Access denied");
    if (s->mode == NO_POLKIT)
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                          "Interactive authentication required.");
    if (sd_bus_message_is_method_call(m, PROPERTIES, "GetAll"))
        return answer_properties(s, m);
    if (!sd_bus_message_is_method_call(m, MANAGER, NULL))
        return 0;
    if (s->mode == NO_LINK || (s->mode == LATE_LINK && s->count++ < 3))
        return sd_bus_reply_method_errorf(m, NO_SUCH_LINK, "Link not known");
    if (s->mode == OLD && sd_bus_message_is_method_call(m, MANAGER, "SetLinkDefaultRoute"))
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_METHOD, "Unknown method");
    if (s->mode == BUSY && sd_bus_message_is_method_call(m, MANAGER, "SetLinkLLMNR"))
        return sd_bus_reply_method_errorf(m, SERVICE ".LinkBusy", "Link is managed");
    note(s, m);
    return sd_bus_reply_method_return(m, NULL);
}

static void order(struct fake_service *s, char order)
{
    if (order != CHANGED)
        return;
    for (unsigned i = 0; i < 5; i++)
        ASSERT(sd_bus_emit_signal(s->bus, OBJECT, PROPERTIES, "PropertiesChanged", "sa{sv}as",
                                  MANAGER, 0, 1, "DNS") >= 0);
}

static struct fake_service service = {
    .name = SERVICE, .path = OBJECT, .answer = answer, .order = order};

/* ---- the user ---- */

struct user {
    void *self;
    struct loop *loop;
    unsigned changed, want;
    const char *want_text;
    char seen[2048];
    char why[WHY_MAX];
};

static const struct dns_method_ops *const ops = &dns_systemd_resolved;

static void changed(void *arg)
{
    struct user *u = arg;
    u->changed++;
}

static enum err user_open(struct user *u)
{
    *u = (struct user){0};
    assert_int_equal(loop_new(&u->loop), ERR_OK);
    enum err err = ops->open(&u->self, u->loop, changed, u, u->why, sizeof u->why);
    if (err != ERR_OK) {
        assert_null(u->self);
        loop_free(u->loop);
    }
    return err;
}

static void user_close(struct user *u)
{
    ops->revert(u->self);
    ops->close(u->self);
    loop_free(u->loop);
}

static bool has_changed(void *arg)
{
    const struct user *u = arg;
    return u->changed >= u->want;
}

static bool has_seen(void *arg)
{
    struct user *u = arg;
    fake_service_read(&service, u->seen, sizeof u->seen);
    return strcmp(u->seen, u->want_text) == 0;
}

static void expect_changed(struct user *u, unsigned n)
{
    u->want = n;
    assert_true(fake_run(u->loop, has_changed, u));
    assert_int_equal(u->changed, n);
}

/* That is all resolved is told in a while. */
static void expect_seen(struct user *u, const char *text)
{
    u->want_text = text;
    (void)fake_run_ms(u->loop, has_seen, u, FAKE_WAIT_MS / 2);
    assert_string_equal(u->seen, text);
    u->seen[0] = '\0';
}

static struct dns_settings example(uint32_t ifindex)
{
    struct dns_settings s = {.tun_ifindex = ifindex,
                             .tun_name = "tun-x",
                             .servers_n = 2,
                             .search = {"example.com"},
                             .search_n = 1};
    assert_int_equal(ip_addr_parse(&s.servers[0], "100.100.111.1"), ERR_OK);
    assert_int_equal(ip_addr_parse(&s.servers[1], "fd00:2021:1111:8000::1"), ERR_OK);
    return s;
}

/* What resolved is told for that. */
static const char *told(uint32_t ifindex)
{
    static char text[512];
    snprintf(text, sizeof text,
             "SetLinkDNS %u 100.100.111.1 fd00:2021:1111:8000::1\n"
             "SetLinkDomains %u example.com ~.\n"
             "SetLinkDefaultRoute %u 1\n"
             "SetLinkDNSOverTLS %u no\n"
             "SetLinkDNSSEC %u no\n"
             "SetLinkLLMNR %u yes\n",
             ifindex, ifindex, ifindex, ifindex, ifindex, ifindex);
    return text;
}

/* Taking back, and what was told before the error. */
static const char *reverts(const char *before, uint32_t ifindex)
{
    static char text[600];
    snprintf(text, sizeof text, "%sRevertLink %u\n", before, ifindex);
    return text;
}

/* ---- the tests ---- */

static void not_there(void **state)
{
    (void)state;
    struct user u;

    /* on the bus */
    assert_int_equal(user_open(&u), ERR_NOT_FOUND);
    assert_non_null(strstr(u.why, "systemd-resolved does not run"));
    assert_non_null(strstr(u.why, "--dns-control"));
    /* the bus itself */
    fake_bus_stop(&fake);
    assert_int_equal(user_open(&u), ERR_NOT_FOUND);
    assert_non_null(strstr(u.why, "systemd-resolved does not run"));
    fake_bus_start(&fake);
    /* one that is stuck, or does not like us */
    fake_service_start(&service);
    fake_service_tell(&service, SILENT);
    assert_int_equal(user_open(&u), ERR_TIMEOUT);
    assert_non_null(strstr(u.why, "does not answer"));
    fake_service_tell(&service, DENY);
    assert_int_equal(user_open(&u), ERR_PERMISSION);
    assert_non_null(strstr(u.why, "as root"));
    fake_service_stop(&service);
}

static void set_and_revert(void **state)
{
    (void)state;
    struct user u;
    struct dns_settings s = example(loopback);
    char text[256];

    fake_service_start(&service);
    assert_int_equal(user_open(&u), ERR_OK);
    expect_changed(&u, 1);
    ops->revert(u.self);
    assert_int_equal(ops->set(u.self, &s, u.why, sizeof u.why), ERR_OK);
    expect_seen(&u, told(loopback));

    /* other settings, no search domain */
    s.servers_n = 1;
    s.search_n = 0;
    assert_int_equal(ops->set(u.self, &s, u.why, sizeof u.why), ERR_OK);
    snprintf(text, sizeof text,
             "SetLinkDNS %u 100.100.111.1\nSetLinkDomains %u ~.\nSetLinkDefaultRoute %u 1\n"
             "SetLinkDNSOverTLS %u no\nSetLinkDNSSEC %u no\nSetLinkLLMNR %u yes\n",
             loopback, loopback, loopback, loopback, loopback, loopback);
    expect_seen(&u, text);
    s.servers_n = 0; /* nothing */
    assert_int_equal(ops->set(u.self, &s, u.why, sizeof u.why), ERR_OK);
    ops->revert(u.self);
    expect_seen(&u, reverts("", loopback));
    ops->revert(u.self); /* already */
    ops->flush(u.self);
    expect_seen(&u, "FlushCaches\n");
    user_close(&u);
    fake_service_stop(&service);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        char order;
        enum err err;
        const char *why, *before;
        bool reverts; /* as seen by resolved */
    } cases[] = {
        {DENY, ERR_PERMISSION, "run as root", "", false},
        {NO_POLKIT, ERR_PERMISSION, "polkit", "", false},
        {BUSY, ERR_IO, "Link is managed", NULL, true},
        {SILENT, ERR_TIMEOUT, "does not answer", "", true},
    };
    struct user u;
    struct dns_settings s = example(loopback);
    struct sock_addr out[RESOLVERS_MAX];
    unsigned n;
    char before[512];

    fake_service_start(&service);
    assert_int_equal(user_open(&u), ERR_OK);
    expect_changed(&u, 1);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake_service_tell(&service, cases[i].order);
        assert_int_equal(ops->set(u.self, &s, u.why, sizeof u.why), cases[i].err);
        assert_non_null(strstr(u.why, cases[i].why));
        snprintf(before, sizeof before, "%s", cases[i].before ? cases[i].before : told(loopback));
        char *last = strstr(before, "SetLinkLLMNR");
        if (last)
            *last = '\0';
        if (cases[i].reverts)
            expect_seen(&u, reverts(before, loopback));
        else /* nor is it given back, which is not waited for: this comes after it */
            assert_int_equal(ops->resolvers(u.self, out, &n, u.why, sizeof u.why), ERR_PERMISSION);
    }
    /* all is as before: nothing is set, or told again */
    fake_service_tell(&service, NORMAL);
    ops->revert(u.self);
    assert_int_equal(ops->set(u.self, &s, u.why, sizeof u.why), ERR_OK);
    expect_seen(&u, told(loopback));

    s.search[0] = "\xff";
    assert_int_equal(ops->set(u.self, &s, u.why, sizeof u.why), ERR_INVALID);
    user_close(&u);
    fake_service_stop(&service);
}

static void links(void **state)
{
    (void)state;
    struct user u;
    struct dns_settings here = example(loopback), away = example(gone);

    fake_service_start(&service);
    assert_int_equal(user_open(&u), ERR_OK);
    expect_changed(&u, 1);
    /* one that resolved has yet to see */
    fake_service_tell(&service, LATE_LINK);
    assert_int_equal(ops->set(u.self, &here, u.why, sizeof u.why), ERR_OK);
    expect_seen(&u, told(loopback));
    /* one that is gone: told at once, and no error when it is given back */
    fake_service_tell(&service, NO_LINK);
    ops->revert(u.self);
    assert_int_equal(ops->set(u.self, &away, u.why, sizeof u.why), ERR_IO);
    assert_non_null(strstr(u.why, "tun-x"));
    fake_service_tell(&service, OLD);
    assert_int_equal(ops->set(u.self, &here, u.why, sizeof u.why), ERR_OK);
    user_close(&u);
    fake_service_stop(&service);
}

static void resolvers(void **state)
{
    (void)state;
    struct user u;
    struct dns_settings s = example(loopback);
    struct sock_addr out[RESOLVERS_MAX];
    unsigned n;
    char text[SOCK_ADDR_TEXT_MAX];

    fake_service_start(&service);
    assert_int_equal(user_open(&u), ERR_OK);
    assert_int_equal(ops->resolvers(u.self, out, &n, u.why, sizeof u.why), ERR_OK);
    assert_int_equal(n, 2);
    assert_int_equal(ops->set(u.self, &s, u.why, sizeof u.why), ERR_OK);
    assert_int_equal(ops->resolvers(u.self, out, &n, u.why, sizeof u.why), ERR_OK);
    assert_int_equal(n, 1);
    assert_string_equal(sock_addr_format(&out[0], text, sizeof text), "192.0.2.1:53");
    fake_service_tell(&service, WRONG_TYPES);
    assert_int_equal(ops->resolvers(u.self, out, &n, u.why, sizeof u.why), ERR_PARSE);
    assert_non_null(strstr(u.why, "unknown form"));
    fake_service_tell(&service, SILENT);
    assert_int_equal(ops->resolvers(u.self, out, &n, u.why, sizeof u.why), ERR_TIMEOUT);
    assert_int_equal(n, 0);
    user_close(&u);
    fake_service_stop(&service);
}

static void changes(void **state)
{
    (void)state;
    struct user u;
    struct dns_settings s = example(loopback);

    fake_service_start(&service);
    assert_int_equal(user_open(&u), ERR_OK);
    expect_changed(&u, 1);
    assert_int_equal(ops->set(u.self, &s, u.why, sizeof u.why), ERR_OK);
    expect_seen(&u, told(loopback));

    /* once for many */
    fake_service_tell(&service, CHANGED);
    expect_changed(&u, 2);
    fake_run_ms(u.loop, NULL, NULL, 2 * DEBOUNCE_MS);
    assert_int_equal(u.changed, 2);
    assert_false(loop_timer_armed(&((struct resolved *)u.self)->debounce));

    /* resolved starts anew: told again. Meanwhile it is just away. */
    fake_service_stop(&service);
    ops->flush(u.self);
    fake_run_ms(u.loop, NULL, NULL, 50);
    fake_service_start(&service);
    expect_changed(&u, 3);
    expect_seen(&u, told(loopback));

    /* the bus does */
    fake_bus_stop(&fake);
    fake_service_stop(&service);
    fake_run_ms(u.loop, NULL, NULL, 50);
    ops->flush(u.self);
    fake_bus_start(&fake);
    fake_service_start(&service);
    expect_changed(&u, 4);
    expect_seen(&u, told(loopback));

    /* what was given back is not told again */
    ops->revert(u.self);
    expect_seen(&u, reverts("", loopback));
    fake_service_stop(&service);
    fake_service_start(&service);
    expect_changed(&u, 5);
    ops->flush(u.self);
    expect_seen(&u, "FlushCaches\n");

    /* nobody to give it back to */
    assert_int_equal(ops->set(u.self, &s, u.why, sizeof u.why), ERR_OK);
    fake_service_stop(&service);
    user_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_there), cmocka_unit_test(set_and_revert), cmocka_unit_test(refused),
        cmocka_unit_test(links),     cmocka_unit_test(resolvers),      cmocka_unit_test(changes),
    };
    log_set_level(LOG_OFF);
    loopback = if_nametoindex("lo");
    fake_bus_init(&fake);
    fake_bus_start(&fake);
    int failed = cmocka_run_group_tests_name("dns_systemd_resolved", tests, NULL, NULL);
    fake_service_stop(&service);
    fake_bus_fini(&fake);
    return failed;
}
