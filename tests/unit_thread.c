/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: name, affinity, masked signals; and the CPU count from affinity and made-up control group trees. */
#include "platform/thread.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/linux/cpu_quota.h"
#include "platform/random.h"

/* What a thread saw of itself. */
struct seen {
    pthread_barrier_t named; /* the name is set by the starter, after the start */
    char name[32];
    bool blocked;
    int cpus, cpu;
};

static void *look(void *arg)
{
    struct seen *s = arg;
    sigset_t mask;
    cpu_set_t set;

    pthread_barrier_wait(&s->named);
    pthread_getname_np(pthread_self(), s->name, sizeof s->name);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    s->blocked = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT) &&
                 sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGHUP);
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    s->cpus = CPU_COUNT(&set);
    s->cpu = sched_getcpu();
    return s;
}

static void start_and_join(struct seen *s, const char *name, int cpu)
{
    pthread_t t;
    void *result = NULL;

    memset(s, 0, sizeof *s);
    pthread_barrier_init(&s->named, NULL, 2);
    assert_int_equal(thread_start(&t, name, cpu, look, s), ERR_OK);
    pthread_barrier_wait(&s->named);
    assert_int_equal(pthread_join(t, &result), 0);
    assert_ptr_equal(result, s);
    pthread_barrier_destroy(&s->named);
}

static void thread_has_name_and_masked_signals(void **state)
{
    (void)state;
    struct seen s;
    sigset_t mask;

    start_and_join(&s, "worker-3", -1);
    assert_string_equal(s.name, "worker-3");
    assert_true(s.blocked);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_false(sigismember(&mask, SIGTERM)); /* the starter's own mask is back */

    start_and_join(&s, "a name that is too long", -1);
    assert_string_equal(s.name, "a name that is ");
}

static void thread_is_pinned(void **state)
{
    (void)state;
    struct seen s;
    unsigned n = thread_cpus_usable();

    for (unsigned i = 0; i < n; i++) {
        int cpu = thread_cpu_nth(i);
        assert_true(cpu >= 0);
        start_and_join(&s, "pinned", cpu);
        assert_int_equal(s.cpus, 1);
        assert_int_equal(s.cpu, cpu);
    }
}

static void bad_cpus(void **state)
{
    (void)state;
    pthread_t t;
    struct seen s;

    assert_int_equal(thread_start(&t, "x", -2, look, NULL), ERR_INVALID);
    assert_int_equal(thread_start(&t, "x", 1 << 20, look, NULL), ERR_INVALID);
    /* a CPU this process may not use: runs all the same */
    start_and_join(&s, "x", 8191);
    assert_true(s.cpus >= 1);
}

static void affinity_counts(void **state)
{
    (void)state;
    cpu_set_t before, one;
    unsigned n = thread_cpus_usable();

    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(n >= 1 && n <= (unsigned)CPU_COUNT(&before));
    assert_int_equal(thread_cpu_nth((unsigned)CPU_COUNT(&before)), -1);
    int last = thread_cpu_nth((unsigned)CPU_COUNT(&before) - 1);
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(thread_cpus_usable(), 1);
    assert_int_equal(thread_cpu_nth(0), last);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

/* ---- control group trees in a temporary directory ---- */

static char tree[64];

static void write_file(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", tree, path);
    for (char *p = full + strlen(tree) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (mkdir(full, 0700) != 0)
            assert_int_equal(errno, EEXIST);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static unsigned quota_of(const char *cgroup, const char *mounts)
{
    char expanded[1024] = "", path[2][128];

    /* '@' stands for the tree in the mount table */
    for (const char *p = mounts; *p; p++) {
        size_t n = strlen(expanded);
        snprintf(expanded + n, sizeof expanded - n, *p == '@' ? "%s" : "%.1s",
                 *p == '@' ? tree : p);
    }
    write_file("cgroup", cgroup);
    write_file("mountinfo", expanded);
    snprintf(path[0], sizeof path[0], "%s/cgroup", tree);
    snprintf(path[1], sizeof path[1], "%s/mountinfo", tree);
    return cpu_quota(path[0], path[1]);
}

#define V2_MOUNT     "30 24 0:26 / @/v2 rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT     "31 24 0:27 / @/v1 rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
#define V1_CPUSET    "32 24 0:28 / @/cpuset rw - cgroup cgroup rw,cpuset\n"
#define V1_CONTAINER "31 24 0:27 /docker/abc @/v1c ro - cgroup cgroup rw,cpu,cpuacct\n"
#define OTHER_MOUNT  "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"

static const struct {
    const char *name, *cgroup, *mounts;
    unsigned cpus;
} quota_cases[] = {
    {"no cgroups", "", OTHER_MOUNT, 0},
    {"v2 root, no limit", "0::/\n", OTHER_MOUNT V2_MOUNT, 0},
    {"v2 group, 2.5 CPUs", "0::/half\n", OTHER_MOUNT V2_MOUNT, 3},
    {"v2 exactly 2 CPUs", "0::/two\n", V2_MOUNT, 2},
    {"v2 limit of a parent", "0::/two/inner/leaf\n", V2_MOUNT, 2},
    {"v2 smaller limit of the leaf", "0::/two/small\n", V2_MOUNT, 1},
    {"v2 max", "0::/max\n", V2_MOUNT, 0},
    {"v2 group that is gone", "0::/gone/too\n", V2_MOUNT, 0},
    {"v1 1.5 CPUs", "4:cpu,cpuacct:/g\n3:cpuset:/\n", V1_CPUSET V1_MOUNT, 2},
    {"v1 no limit", "4:cpuacct,cpu:/free\n", V1_CPUSET V1_MOUNT, 0},
    {"v1 cpuset is not cpu", "3:cpuset:/g\n", V1_CPUSET V1_MOUNT, 0},
    {"v1 container without its own namespace", "4:cpu,cpuacct:/docker/abc/x\n", V1_CONTAINER, 4},
    {"v1 container, similar name", "4:cpu,cpuacct:/docker/abcd\n", V1_CONTAINER, 7},
    {"hybrid: v1 rules", "4:cpu,cpuacct:/g\n0::/max\n", V1_MOUNT V2_MOUNT, 2},
    {"both: the smaller", "4:cpu,cpuacct:/g\n0::/two/small\n", V1_MOUNT V2_MOUNT, 1},
    {"broken lines", "x\n:\n0:\n0::\n", "x\n - \n1 2 - cgroup2\n" V2_MOUNT, 0},
};

static void control_group_quota(void **state)
{
    (void)state;
    write_file("v2/half/cpu.max", "250000 100000\n");
    write_file("v2/two/cpu.max", "200000 100000\n");
    write_file("v2/two/small/cpu.max", "1000 100000\n");
    write_file("v2/two/inner/leaf/cpu.max", "max 100000\n");
    write_file("v2/max/cpu.max", "max 100000\n");
    write_file("v1/g/cpu.cfs_quota_us", "150000\n");
    write_file("v1/g/cpu.cfs_period_us", "100000\n");
    write_file("v1/free/cpu.cfs_quota_us", "-1\n");
    write_file("v1/free/cpu.cfs_period_us", "100000\n");
    write_file("v1c/cpu.cfs_quota_us", "350000\n");
    write_file("v1c/cpu.cfs_period_us", "50000\n");
    write_file("v1c/x/cpu.cfs_quota_us", "400000\n");
    write_file("v1c/x/cpu.cfs_period_us", "100000\n");
    for (unsigned i = 0; i < ARRAY_LEN(quota_cases); i++) {
        unsigned got = quota_of(quota_cases[i].cgroup, quota_cases[i].mounts);
        if (got != quota_cases[i].cpus)
            fail_msg("%s: %u instead of %u", quota_cases[i].name, got, quota_cases[i].cpus);
    }
}

static int make_tree(void **state)
{
    (void)state;
    snprintf(tree, sizeof tree, "/tmp/unit_thread.XXXXXX");
    return mkdtemp(tree) ? 0 : -1;
}

static int remove_tree(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", tree);
    return system(command);
}

/* ---- clock and entropy ---- */

static void clock_runs_forward(void **state)
{
    (void)state;
    time_ns before = clock_now();
    uint64_t seconds = 0;
    uint32_t ns = NS_PER_SEC;

    for (unsigned i = 0; i < 100000; i++) {
        time_ns now = clock_now();
        assert_true(now >= before);
        before = now;
    }
    clock_wall(&seconds, &ns);
    assert_true(seconds > 1600000000 && ns < NS_PER_SEC);
}

static void entropy_differs(void **state)
{
    (void)state;
    static uint8_t a[5000], b[5000];
    unsigned ones = 0;

    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    for (unsigned i = 0; i < sizeof a; i++)
        ones += (unsigned)__builtin_popcount(a[i]);
    assert_in_range(ones, 19000, 21000); /* 20000 expected, standard deviation 100 */
    assert_true(random_u32() != random_u32() || random_u32() != random_u32());
    random_bytes(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_has_name_and_masked_signals),
        cmocka_unit_test(thread_is_pinned),
        cmocka_unit_test(bad_cpus),
        cmocka_unit_test(affinity_counts),
        cmocka_unit_test_setup_teardown(control_group_quota, make_tree, remove_tree),
        cmocka_unit_test(clock_runs_forward),
        cmocka_unit_test(entropy_differs),
    };
    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
