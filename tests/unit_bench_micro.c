/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench micro: each part is really measured, does its work, and would be caught if it did not. */
#include "bench/micro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/bench.h"
#include "bench/count.h"
#include "platform/base/bytes.h"
#include "platform/thread.h"
#include "tests/bench_run.h"

static struct bench_run run;

static void run_micro(const char *const *argv)
{
    bench_run(&run, bench_micro, argv);
}

static void list_all(struct micro_list *l)
{
    unsigned cpus = thread_cpus_usable();
    memset(l, 0, sizeof *l);
    micro_aead_cases(l);
    micro_checksum_cases(l);
    micro_segment_cases(l);
    micro_coalesce_cases(l);
    micro_route_cases(l);
    micro_replay_cases(l);
    micro_ring_cases(l, cpus);
    micro_handed_cases(l, cpus);
    micro_source_cases(l);
    micro_source_miss_cases(l);
    micro_resolve_cases(l);
    micro_portal_cases(l);
    micro_dns_cases(l);
    micro_policy_cases(l);
    micro_nat_cases(l);
    micro_source_thread_cases(l, 2, cpus);
}

/* Takes out what this machine cannot measure, which is also what the program is to pass over. */
static unsigned take_out_missing(struct micro_list *l)
{
    unsigned kept = 0, out;
    for (unsigned i = 0; i < l->n; i++) {
        if (!l->cases[i].missing || !l->cases[i].missing(&l->cases[i]))
            l->cases[kept++] = l->cases[i];
    }
    out = l->n - kept;
    l->n = kept;
    return out;
}

static const struct result_row *row_of(const struct result *r, const char *name, const char *figure)
{
    char path[256];
    snprintf(path, sizeof path, "micro/%s/%s", name, figure);
    return result_find(r, path);
}

static void test_names(void **state)
{
    static struct micro_list l;
    (void)state;
    list_all(&l);
    assert_in_range(l.n, 100, MICRO_CASES_MAX);
    for (unsigned i = 0; i < l.n; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(l.cases[i].name, l.cases[k].name);
        assert_true((l.cases[i].ops != NULL) != (l.cases[i].measure != NULL));
        assert_true(!l.cases[i].counted || l.cases[i].ops);
        if (i > 0 && l.cases[i].set == l.cases[i - 1].set)
            assert_string_equal(l.cases[i].item, l.cases[i - 1].item);
    }
}

/* Without `work` no check passes, neither at first nor after a stretch that was right. */
static void test_idleness_is_seen(void **state)
{
    static struct micro_list l;
    (void)state;
    list_all(&l);
    take_out_missing(&l);
    for (unsigned i = 0; i < l.n; i++) {
        const struct micro_ops *ops = l.cases[i].ops;
        unsigned items = 0;
        if (!ops)
            continue;
        void *loop = ops->open(&l.cases[i], &items);
        assert_true(items > 0);
        for (unsigned k = 0; k < 4; k++) {
            if (ops->prepare)
                ops->prepare(loop);
            if (k % 2 == 1)
                ops->work(loop);
            if (ops->check(loop) != (k % 2 == 1))
                fail_msg("%s: stretch %u", l.cases[i].name, k);
        }
        ops->close(loop);
    }
}

static void *open_counter(const struct micro_case *c, unsigned *items)
{
    *items = c->batch;
    return calloc(1, sizeof(unsigned));
}

static void work_counter(void *state)
{
    ++*(unsigned *)state;
}

static bool check_counter(void *state)
{
    return *(unsigned *)state < 20;
}

static void test_loop(void **state)
{
    static const struct micro_ops ops = {open_counter, NULL, work_counter, check_counter, free};
    struct micro_case c = {.ops = &ops, .batch = 10};
    struct micro_outcome r;
    (void)state;
    assert_true(micro_loop(&c, 0, 190, &r));
    assert_int_equal(r.items, 190);
    assert_true(r.ns >= 0 && r.cycles >= 0 && r.instructions >= 0);
    assert_false(micro_loop(&c, 0, 191, &r)); /* the 20th is wrong */
    assert_false(micro_loop(&c, 60000, 0, &r));
}

/* A row that is there has one sample for each round, and what is counted is more than nothing. */
static void check_row(const struct result_row *row, size_t rounds, bool may_be_zero)
{
    assert_non_null(row);
    assert_int_equal(row->n, rounds);
    assert_true(result_min(row) >= 0);
    assert_true(may_be_zero || result_min(row) > 0);
}

/* No destination costs memory; told where the allocator tells. */
static void check_strangers(const struct result *r, const struct micro_case *c)
{
    struct count count;
    count_open(&count);
    bool told = count.allocated_at != NULL;
    count_close(&count);
    check_row(row_of(r, c->name, "ns"), 1, false);
    assert_true(told == (row_of(r, c->name, "grown") != NULL));
    if (!told)
        return;
    check_row(row_of(r, c->name, "grown"), 1, true);
    assert_true(result_max(row_of(r, c->name, "grown")) <= 0);
    check_row(row_of(r, c->name, "size"), 1, false);
}

/* A ratio that has a goal says whether it was met. */
static void check_ratio(const struct result_row *row, const struct micro_case *c)
{
    check_row(row, 1, false);
    if (c->ratio_goal > 0)
        assert_non_null(strstr(row->note, result_min(row) >= c->ratio_goal ? ", met" : ", missed"));
    else
        assert_null(row->note);
}

static void check_case(const struct result *r, const struct micro_case *c, bool rival)
{
    if (c->ops) {
        check_row(row_of(r, c->name, "ns"), 1, false);
        check_row(row_of(r, c->name, "cycles"), 1, false);
        assert_true(rival == (row_of(r, c->name, "ratio") != NULL));
        if (rival)
            check_ratio(row_of(r, c->name, "ratio"), c);
    } else if (strcmp(c->name, "source_cache/strangers/1000000") == 0) {
        check_strangers(r, c);
    } else if (strcmp(c->name, "ring/hop") == 0) {
        check_row(row_of(r, c->name, "ns"), 1, false);
    } else if (strcmp(c->name, "ring/latency") == 0) {
        check_row(row_of(r, c->name, "p50"), 1, false);
        check_row(row_of(r, c->name, "p99"), 1, false);
        assert_true(result_min(row_of(r, c->name, "p50")) <= result_min(row_of(r, c->name, "p99")));
    } else if (strncmp(c->name, "handed/", 7) == 0) {
        static const char *const rows[] = {"own/write_ns", "own/seal_ns", "other/write_ns",
                                           "other/seal_ns", "slowdown"};
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            check_row(row_of(r, c->name, rows[i]), 1, false);
    } else {
        check_row(row_of(r, c->name, "hits"), 1, false);
        assert_true(c->roaming == (row_of(r, c->name, "roams") != NULL));
        if (!c->roaming)
            return;
        check_row(row_of(r, c->name, "roams"), 1, false);
        check_row(row_of(r, c->name, "found"), 1, false);
        assert_true(result_max(row_of(r, c->name, "found")) <= 1);
    }
}

static void test_all_is_measured(void **state)
{
    char path[] = "/tmp/unit_bench_micro_XXXXXX", why[256];
    const char *const argv[] = {"micro",     "--rounds", "1",      "--ms", "1",
                                "--threads", "2",        "--json", path,   NULL};
    static struct micro_list l;
    struct result r;
    (void)state;
    close(mkstemp(path));
    list_all(&l);
    unsigned missing = take_out_missing(&l);
    run_micro(argv);
    unsigned said = 0;
    for (const char *at = run.err; (at = strstr(at, "fzbench")); at++)
        said++;
    assert_int_equal(said, missing);
    assert_int_equal(run.code, BENCH_OK);
    assert_int_equal(result_load(&r, path, why, sizeof why), ERR_OK);
    unlink(path);
    assert_string_equal(r.command, "micro");
    assert_non_null(result_find(&r, "machine/cycles_counted"));
    for (unsigned i = 0; i < l.n; i++) {
        check_case(&r, &l.cases[i], i > 0 && l.cases[i].set == l.cases[i - 1].set);
        assert_non_null(strstr(run.out, l.cases[i].name));
    }
    result_fini(&r);
}

static void test_only_and_rounds(void **state)
{
    char path[] = "/tmp/unit_bench_micro_XXXXXX", why[256];
    const char *const argv[] = {"micro",    "--only", "replay,aead/seal/boringssl/3x64",
                                "--rounds", "3",      "--ms",
                                "1",        "--json", path,
                                NULL};
    struct result r;
    (void)state;
    close(mkstemp(path));
    run_micro(argv);
    assert_int_equal(run.code, BENCH_OK);
    assert_int_equal(result_load(&r, path, why, sizeof why), ERR_OK);
    unlink(path);
    check_row(result_find(&r, "micro/replay/in_order/ns"), 3, false);
    check_row(result_find(&r, "micro/replay/mixed/cycles"), 3, false);
    check_row(result_find(&r, "micro/aead/seal/boringssl/3x64/ns"), 3, false);
    /* instructions, too, where they can be counted */
    bool counted = result_max(result_find(&r, "machine/cycles_counted")) > 0;
    assert_int_equal(r.n, counted ? 10 : 7);
    result_fini(&r);
}

static void test_lists(void **state)
{
    (void)state;
    run_micro((const char *const[]){"micro", "--list", "--only", "route,source_cache/hit", NULL});
    assert_int_equal(run.code, BENCH_OK);
    assert_string_equal(run.out, "route/v4/deep\nroute/v4/default\nroute/v4/miss\n"
                                 "route/v6/deep\nroute/v6/default\nroute/v6/miss\n"
                                 "source_cache/hit\nsource_cache/hit/after_1000000\n");
    run_micro((const char *const[]){"micro", "--list", "--only",
                                    "source-cache/miss,source-resolve/v4,"
                                    "source_cache/hit/after-1000000",
                                    NULL});
    assert_int_equal(run.code, BENCH_OK);
    assert_string_equal(run.out, "source_cache/hit/after_1000000\nsource_cache/miss\n"
                                 "source_resolve/v4/host\nsource_resolve/v4/own_table/10000\n"
                                 "source_resolve/v4/main_table/10000\n");
    run_micro((const char *const[]){"micro", "--list", "--callgrind", "--only",
                                    "aead/open,source_cache", NULL});
    assert_int_equal(run.code, BENCH_OK);
    assert_string_equal(run.out, "aead/open/boringssl/64x64\naead/open/boringssl/64x512\n"
                                 "aead/open/boringssl/64x1280\naead/open/boringssl/64x1420\n"
                                 "source_cache/hit\nsource_cache/hit/after_1000000\n"
                                 "source_cache/lookup\nsource_cache/lookup/after_1000000\n"
                                 "source_cache/miss\nsource_cache/invalidate\n"
                                 "source_cache/invalidate/first_hit\n");
}

/* What --callgrind runs. */
static void test_bare(void **state)
{
    unsigned items = 0;
    (void)state;
    run_micro((const char *const[]){"micro", "--bare", "source_cache/hit", NULL});
    assert_int_equal(run.code, BENCH_OK);
    assert_int_equal(sscanf(run.out, "items %u\n", &items), 1);
    assert_in_range(items, 20000, 30000);
}

static void test_usage(void **state)
{
    static const struct {
        const char *argv[4];
        int code;
        const char *says;
    } cases[] = {
        {{"micro", "--help"}, BENCH_OK, ""},
        {{"micro", "--only", "nothing"}, BENCH_USAGE, "called 'nothing'"},
        {{"micro", "--only", "replay,aea"}, BENCH_USAGE, "called 'aea'"},
        {{"micro", "--only", "replay/"}, BENCH_USAGE, "called 'replay/'"},
        {{"micro", "--only", "source-cach"}, BENCH_USAGE, "called 'source-cach'"},
        {{"micro", "--only", "source-cache-hit"}, BENCH_USAGE, "called 'source-cache-hit'"},
        {{"micro", "--only", ""}, BENCH_USAGE, "called ''"},
        {{"micro", "--only"}, BENCH_USAGE, "needs a value"},
        {{"micro", "--ms", "0"}, BENCH_USAGE, "--ms: '0' is not possible"},
        {{"micro", "--rounds", "x"}, BENCH_USAGE, "--rounds: 'x' is not possible"},
        {{"micro", "--threads", "99999999999999999999"}, BENCH_USAGE, "--threads"},
        {{"micro", "--bare", "ring/hop"}, BENCH_USAGE, "called 'ring/hop'"},
        {{"micro", "more"}, BENCH_USAGE, "unexpected argument 'more'"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        run_micro(cases[i].argv);
        assert_int_equal(run.code, cases[i].code);
        if (!strstr(run.err, cases[i].says))
            fail_msg("case %zu: %s", i, run.err);
    }
}

static void test_unwritable(void **state)
{
    (void)state;
    run_micro((const char *const[]){"micro", "--only", "replay", "--rounds", "1", "--ms", "1",
                                    "--json", "/nowhere/result.json", NULL});
    assert_int_equal(run.code, BENCH_FAILED);
    assert_non_null(strstr(run.err, "/nowhere/result.json"));
}

/* Without the privilege for namespaces. */
static void test_what_cannot_be_measured(void **state)
{
    uid_t root = geteuid();
    (void)state;
    if (root == 0)
        assert_int_equal(seteuid(65534), 0);
    run_micro((const char *const[]){"micro", "--only", "source-resolve/v4/host,replay", "--rounds",
                                    "1", "--ms", "1", NULL});
    assert_int_equal(run.code, BENCH_OK);
    assert_non_null(strstr(run.err, "without source_resolve/v4/host: it needs root"));
    assert_null(strstr(run.out, "source_resolve"));
    assert_non_null(strstr(run.out, "micro/replay/mixed/ns"));
    run_micro((const char *const[]){"micro", "--only", "source-resolve", NULL});
    assert_int_equal(run.code, BENCH_FAILED);
    assert_non_null(strstr(run.err, "nothing of it can be measured here"));
    assert_int_equal(seteuid(root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_idleness_is_seen),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_all_is_measured),
        cmocka_unit_test(test_only_and_rounds),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_bare),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_what_cannot_be_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
