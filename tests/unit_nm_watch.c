/* SPDX-License-Identifier: Apache-2.0 */
/* Which signals of NetworkManager are a move, with a bus and a NetworkManager of the test's own. */
#include "platform/linux/nm_watch.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fake_bus.h"

static struct fake_bus fake;

/* ---- NetworkManager ---- */

/* Orders. */
enum {
    NONE = '0',  /* no primary connection */
    FIRST = '1', /* the first one is primary; so for more digits */
    SECOND = '2',
    OTHER = 'o',       /* another property has changed */
    INVALIDATED = 'i', /* the primary connection has, to what it was before */
    WRONG_TYPE = 'w',
    WRONG_BODY = 'x',
    WRONG_ANSWERS = 'a', /* from now on */
    OTHER_IFACE = 'y'    /* a property of that name of another interface */
};

static char primary = NONE;
static bool answers_wrong;

static unsigned run; /* of the service: each has paths of its own */

static const char *path_of(char which)
{
    static char path[96];
    if (which == NONE)
        return "/";
    snprintf(path, sizeof path, OBJECT "/ActiveConnection/%u%c", run, which);
    return path;
}

/* What stays. */
static const char *id_of(char which)
{
    static char id[32];
    snprintf(id, sizeof id, "uuid-%c", which);
    return which == NONE ? "/" : id;
}

static int answer(struct fake_service *s, sd_bus_message *m)
{
    const char *iface, *name;

    if (!sd_bus_message_is_method_call(m, PROPERTIES, "Get"))
        return 0;
    ASSERT(sd_bus_message_read(m, "ss", &iface, &name) > 0);
    if (strcmp(iface, ACTIVE) == 0) {
        const char *path = sd_bus_message_get_path(m);
        ASSERT(strcmp(name, "Uuid") == 0);
        return sd_bus_reply_method_return(m, "v", "s", id_of(path[strlen(path) - 1]));
    }
    ASSERT(strcmp(iface, SERVICE) == 0 && strcmp(name, PRIMARY) == 0);
    fake_note(s, "Get %c", primary);
    if (answers_wrong)
        return sd_bus_reply_method_return(m, "v", "i", 1);
    return sd_bus_reply_method_return(m, "v", "o", path_of(primary));
}

static void order(struct fake_service *s, char order)
{
    int r = 0;
    const char *signal = "PropertiesChanged";

    if (order == WRONG_ANSWERS) {
        answers_wrong = true;
    } else if (order >= NONE && order <= '9') {
        primary = order;
        r = sd_bus_emit_signal(s->bus, OBJECT, PROPERTIES, signal, "sa{sv}as", SERVICE, 2, "State",
                               "u", 70, PRIMARY, "o", path_of(primary), 0);
    } else if (order == OTHER) {
        r = sd_bus_emit_signal(s->bus, OBJECT, PROPERTIES, signal, "sa{sv}as", SERVICE, 1, "State",
                               "u", 60, 1, "Devices");
    } else if (order == INVALIDATED) {
        r = sd_bus_emit_signal(s->bus, OBJECT, PROPERTIES, signal, "sa{sv}as", SERVICE, 0, 1,
                               PRIMARY);
    } else if (order == WRONG_TYPE) {
        r = sd_bus_emit_signal(s->bus, OBJECT, PROPERTIES, signal, "sa{sv}as", SERVICE, 1, PRIMARY,
                               "s", "/x", 0);
    } else if (order == WRONG_BODY) {
        r = sd_bus_emit_signal(s->bus, OBJECT, PROPERTIES, signal, "s", SERVICE);
    } else if (order == OTHER_IFACE) {
        r = sd_bus_emit_signal(s->bus, OBJECT, PROPERTIES, signal, "sa{sv}as", "org.example", 1,
                               PRIMARY, "o", "/x", 0);
    }
    ASSERT(r >= 0);
}

static struct fake_service service = {
    .name = SERVICE, .path = OBJECT, .answer = answer, .order = order};

/* ---- the watcher ---- */

struct user {
    struct nm_watch *watch;
    struct loop *loop;
    unsigned moved;
    const char *want;
};

static void moved(void *arg)
{
    struct user *u = arg;
    u->moved++;
}

static bool is_known(void *arg)
{
    const struct user *u = arg;
    return strcmp(u->watch->primary, u->want) == 0 && (u->want[0] == '\0' || u->watch->settled) &&
           u->watch->watch.owner[0] != '\0' && !loop_timer_armed(&u->watch->tell);
}

static bool is_alone(void *arg)
{
    const struct user *u = arg;
    return u->watch->watch.owner[0] == '\0';
}

/* The primary connection that it knows of, and how often it has told so far. */
static void expect(struct user *u, char which, unsigned n)
{
    u->want = which == '\0' ? "" : id_of(which);
    assert_true(fake_run(u->loop, is_known, u));
    fake_run_ms(u->loop, NULL, NULL, 20);
    assert_string_equal(u->watch->primary, u->want);
    assert_int_equal(u->moved, n);
}

static void user_open(struct user *u)
{
    *u = (struct user){0};
    assert_int_equal(loop_new(&u->loop), ERR_OK);
    assert_int_equal(nm_watch_new(&u->watch, u->loop, moved, u), ERR_OK);
}

static void user_close(struct user *u)
{
    nm_watch_free(u->watch);
    loop_free(u->loop);
}

/* first: what is primary when it starts. */
static void start_manager(char first)
{
    primary = first;
    run++;
    fake_service_start(&service);
}

/* ---- the tests ---- */

static void no_bus(void **state)
{
    (void)state;
    struct nm_watch *w;
    struct loop *l;

    fake_bus_stop(&fake);
    assert_int_equal(loop_new(&l), ERR_OK);
    assert_int_equal(nm_watch_new(&w, l, moved, NULL), ERR_NOT_FOUND);
    assert_null(w);
    loop_free(l);
    fake_bus_start(&fake);
}

static void moves(void **state)
{
    (void)state;
    struct user u;

    start_manager(FIRST);
    user_open(&u);
    expect(&u, FIRST, 0);
    fake_service_tell(&service, SECOND);
    expect(&u, SECOND, 1);
    fake_service_tell(&service, NONE);
    expect(&u, NONE, 2);
    fake_service_tell(&service, FIRST);
    expect(&u, FIRST, 3);
    fake_service_tell(&service, FIRST); /* it says that it has changed */
    expect(&u, FIRST, 4);
    fake_service_tell(&service, INVALIDATED);
    expect(&u, FIRST, 5);
    fake_service_tell(&service, OTHER);
    fake_service_tell(&service, OTHER_IFACE);
    fake_service_tell(&service, WRONG_TYPE);
    fake_service_tell(&service, WRONG_BODY);
    expect(&u, FIRST, 5);
    assert_false(loop_timer_armed(&u.watch->tell));
    user_close(&u);
    fake_service_stop(&service);
}

/* One that starts after the watch: its connection is a new one. */
static void late_manager(void **state)
{
    (void)state;
    struct user u;

    user_open(&u);
    fake_run_ms(u.loop, NULL, NULL, 50);
    start_manager(NONE);
    expect(&u, '\0', 0);
    fake_service_tell(&service, FIRST);
    expect(&u, FIRST, 1);
    fake_service_tell(&service, SECOND);
    expect(&u, SECOND, 2);
    user_close(&u);
    fake_service_stop(&service);
}

/* It has no connection yet when the watch begins: the first one counts. */
static void manager_without(void **state)
{
    (void)state;
    struct user u;
    char seen[64] = "";

    start_manager(NONE);
    user_open(&u);
    expect(&u, '\0', 0);
    fake_service_read(&service, seen, sizeof seen);
    assert_string_equal(seen, "Get 0\n");
    fake_service_tell(&service, FIRST);
    expect(&u, FIRST, 1);
    user_close(&u);
    fake_service_stop(&service);
}

static void restarts(void **state)
{
    (void)state;
    struct user u;

    start_manager(FIRST);
    user_open(&u);
    expect(&u, FIRST, 0);
    /* it starts anew, and the connection is what it was: no move; the next change is one again */
    fake_service_stop(&service);
    assert_true(fake_run(u.loop, is_alone, &u));
    start_manager(NONE);
    fake_service_tell(&service, NONE);
    fake_service_tell(&service, FIRST);
    expect(&u, FIRST, 0);
    fake_service_tell(&service, SECOND);
    expect(&u, SECOND, 1);
    /* it starts anew with another one */
    fake_service_stop(&service);
    assert_true(fake_run(u.loop, is_alone, &u));
    start_manager(NONE);
    fake_service_tell(&service, FIRST);
    expect(&u, FIRST, 2);
    /* it is connected before it is on the bus, and says nothing */
    fake_service_stop(&service);
    assert_true(fake_run(u.loop, is_alone, &u));
    start_manager(SECOND);
    expect(&u, SECOND, 3);
    user_close(&u);
    fake_service_stop(&service);
}

/* What has changed while the bus was away is found out. */
static void bus_restarts(void **state)
{
    (void)state;
    static const struct {
        char after;
        unsigned moved;
    } cases[] = {{FIRST, 0}, {SECOND, 1}};

    for (unsigned i = 0; i < 2; i++) {
        struct user u;
        start_manager(FIRST);
        user_open(&u);
        expect(&u, FIRST, 0);
        fake_bus_stop(&fake);
        fake_service_stop(&service);
        assert_true(fake_run(u.loop, is_alone, &u));
        fake_bus_start(&fake);
        start_manager(cases[i].after);
        expect(&u, cases[i].after, cases[i].moved);
        user_close(&u);
        fake_service_stop(&service);
    }
}

/* The answer is of another type than a path: nothing is known, and a change tells nothing new. */
static void wrong_answer(void **state)
{
    (void)state;
    struct user u;

    start_manager(NONE);
    fake_service_tell(&service, WRONG_ANSWERS);
    user_open(&u);
    expect(&u, '\0', 0);
    fake_service_tell(&service, FIRST);
    expect(&u, '\0', 0);
    user_close(&u);
    fake_service_stop(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bus),       cmocka_unit_test(moves),
        cmocka_unit_test(late_manager), cmocka_unit_test(manager_without),
        cmocka_unit_test(restarts),     cmocka_unit_test(bus_restarts),
        cmocka_unit_test(wrong_answer),
    };
    log_set_level(LOG_ERROR);
    fake_bus_init(&fake);
    fake_bus_start(&fake);
    int failed = cmocka_run_group_tests_name("nm_watch", tests, NULL, NULL);
    fake_service_stop(&service);
    fake_bus_fini(&fake);
    return failed;
}
