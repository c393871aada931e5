/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench micro: the parts of the packet path, one by one, see micro.h. */
#include "bench/micro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/callgrind.h"
#include "bench/count.h"
#include "bench/progress.h"
#include "bench/usage.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/thread.h"

static const char help[] =
    "Usage: fzbench micro [OPTION]...\n"
    "\n"
    "Measures the parts of the packet path one by one, and checks what they do:\n"
    "sealing and opening by each backend, checksums, segmentation, coalescing, route\n"
    "lookups, the replay window, the ring between workers, batches handed from one\n"
    "CPU to another, the source cache, a gateway's packets to names; and, of the\n"
    "control thread, the answers for the source cache from the kernel's tables (as\n"
    "root), the portal's list of 10,000 resources, and the stub resolver's queries\n"
    "with as many names.\n"
    "\n"
    "      --only LIST       these parts: names separated by commas, or the beginnings\n"
    "                        of names up to a slash, such as aead/seal,replay; '-' is\n"
    "                        as good as '_'\n"
    "      --list            print the names of all parts, and do nothing else\n"
    "      --rounds N        measurements of each figure; backends of one kind take\n"
    "                        turns in each round (default: 5)\n"
    "      --ms N            length of a measurement (default: 20)\n"
    "      --threads N       read the source cache with up to N threads (default: the\n"
    "                        CPUs that may be used, at most 4)\n"
    "      --callgrind       count instructions with valgrind instead of the CPU; of\n"
    "                        what runs in one thread, and with BoringSSL only; nothing\n"
    "                        else is measured then\n"
    "      --json FILE       write the result as JSON, too\n"
    "  -h, --help            this text\n"
    "\n"
    "'ratio' is how many times as fast as BoringSSL a backend is, and elsewhere as the\n"
    "same before a million destinations or 10,000 routes were added. A ring's latency\n"
    "is half of a round trip between two threads that spin. What needs several threads\n"
    "is measured only where each has a CPU; what needs root is passed over without it.\n"
    "\n"
    "Cycles are the CPU's own count or, where it cannot be had, the time at the clock\n"
    "rate that a loop of known length runs at ('machine/cycles_counted' tells).\n"
    "\n"
    "Exit code: 0; 1 if something could not be measured, or is not right; 2 for wrong\n"
    "usage.\n";

enum {
    ROUNDS_MAX = 1000,
    CALLGRIND_ITEMS = 20000,
    SET_MAX = 8 /* cases of one set */
};

struct options {
    const char *only, *json,
        *bare; /* bare: --callgrind calls this program with the name of a case */
    unsigned rounds, ms, threads;
    bool callgrind, list;
};

/* ---- the command line ---- */

static const struct option flags[] = {
    {"only", required_argument, NULL, 'o'},    {"list", no_argument, NULL, 'l'},
    {"rounds", required_argument, NULL, 'r'},  {"ms", required_argument, NULL, 'm'},
    {"threads", required_argument, NULL, 't'}, {"callgrind", no_argument, NULL, 'g'},
    {"json", required_argument, NULL, 'j'},    {"bare", required_argument, NULL, 'b'},
    {"help", no_argument, NULL, 'h'},          {0}};

/* One option with its value. False: it is not right. */
static bool take_option(void *options, int flag, const char *value)
{
    struct options *o = options;
    uint64_t n = 0;
    bool ok = true;
    switch (flag) {
    case 'o':
        o->only = value;
        break;
    case 'r':
        ok = usage_number(value, 1, ROUNDS_MAX, &n);
        o->rounds = (unsigned)n;
        break;
    case 'm':
        ok = usage_number(value, 1, 60000, &n);
        o->ms = (unsigned)n;
        break;
    case 't':
        ok = usage_number(value, 1, MICRO_THREADS_MAX - 1, &n);
        o->threads = (unsigned)n;
        break;
    case 'j':
        o->json = value;
        break;
    case 'b':
        o->bare = value;
        break;
    default:
        o->callgrind |= flag == 'g';
        o->list |= flag == 'l';
    }
    return ok;
}

/* -1: go on; else the exit code. */
static int parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){
        .rounds = 5, .ms = 20, .threads = (unsigned)size_min(thread_cpus_usable(), 4)};
    return usage_parse("micro", help, flags, take_option, o, (struct usage_args){argc, argv});
}

/* ---- the cases ---- */

static struct micro_list *all_cases(const struct options *o)
{
    struct micro_list *l = mem_zalloc(1, sizeof *l);
    unsigned cpus = thread_cpus_usable();

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
    micro_source_thread_cases(l, o->threads, cpus);
    return l;
}

static char dash(char c)
{
    return c == '_' ? '-' : c;
}

/* `item` is the name, or its beginning up to a slash; with '-' or '_'. */
static bool names(const char *item, const char *name)
{
    while (*item && dash(*item) == dash(*name))
        item++, name++;
    return *item == '\0' && (*name == '\0' || *name == '/');
}

/* Keeps what --only asks for. False: nothing is called `missing`. */
static bool select_cases(struct micro_list *l, const char *only, char *missing, size_t missing_size)
{
    char *copy = mem_dup_text(only, strlen(only)), *rest = NULL;
    bool chosen[MICRO_CASES_MAX] = {false}, ok = only[0] != '\0';
    unsigned kept = 0;

    missing[0] = '\0';
    for (char *item = strtok_r(copy, ",", &rest); item && ok; item = strtok_r(NULL, ",", &rest)) {
        bool found = false;
        for (unsigned i = 0; i < l->n; i++) {
            chosen[i] |= names(item, l->cases[i].name);
            found |= names(item, l->cases[i].name);
        }
        ok = found;
        snprintf(missing, missing_size, "%s", item);
    }
    for (unsigned i = 0; i < l->n; i++) {
        if (chosen[i])
            l->cases[kept++] = l->cases[i];
    }
    l->n = kept;
    free(copy);
    return ok && kept > 0;
}

static void keep_counted(struct micro_list *l)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < l->n; i++) {
        if (l->cases[i].counted)
            l->cases[kept++] = l->cases[i];
    }
    l->n = kept;
}

/* Passes over what this machine cannot measure, and says why. */
static void keep_possible(struct micro_list *l)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < l->n; i++) {
        const struct micro_case *c = &l->cases[i];
        const char *why = c->missing ? c->missing(c) : NULL;
        if (why)
            usage_warn("micro", "without %s: %s", c->name, why);
        else
            l->cases[kept++] = *c;
    }
    l->n = kept;
}

/* ---- measuring ---- */

struct plan {
    const struct options *o;
    struct micro_list *list;
    struct result result;
    struct progress progress;
    unsigned done;
};

static void step(struct plan *p, const struct micro_case *c)
{
    progress_show(&p->progress, p->done++, c->name, clock_now());
}

static bool fail(struct plan *p, const struct micro_case *c, const char *why)
{
    progress_clear(&p->progress);
    usage_fail_run("micro", "%s: %s", c->name, why);
    return false;
}

/* unit: NULL for "FIGURE/ITEM" */
static void add(struct plan *p, const struct micro_case *c, const char *figure, const char *unit,
                enum result_better better, enum result_gate gate, double value)
{
    char name[MICRO_NAME_MAX + 32], per_item[64];

    snprintf(name, sizeof name, "micro/%s/%s", c->name, figure);
    snprintf(per_item, sizeof per_item, "%s/%s", figure, c->item);
    result_add(&p->result, name, unit ? unit : per_item, better, gate, value);
}

static void note_goal(struct plan *p, const struct micro_case *c)
{
    char name[MICRO_NAME_MAX + 32], note[64];

    snprintf(name, sizeof name, "micro/%s/ratio", c->name);
    bool met = result_median(result_find(&p->result, name)) >= c->ratio_goal;
    snprintf(note, sizeof note, "goal: at least %g, %s", c->ratio_goal, met ? "met" : "missed");
    result_note(&p->result, name, note);
}

/* The n cases of a set at `first` in turn, beginning with another one in each round. */
static bool measure_set(struct plan *p, unsigned first, unsigned n, unsigned round)
{
    struct micro_outcome r[SET_MAX];
    const struct micro_case *cases = p->list->cases + first;

    ASSERT(n <= SET_MAX);
    for (unsigned k = 0; k < n; k++) {
        unsigned i = (k + round) % n;
        step(p, &cases[i]);
        if (!micro_loop(&cases[i], p->o->ms, 0, &r[i]))
            return fail(p, &cases[i], "a result is wrong");
    }
    for (unsigned i = 0; i < n; i++) {
        add(p, &cases[i], "ns", NULL, RESULT_LOWER, GATE_NONE, r[i].ns);
        add(p, &cases[i], "cycles", NULL, RESULT_LOWER, GATE_NONE, r[i].cycles);
        if (r[i].instructions > 0)
            add(p, &cases[i], "instructions", NULL, RESULT_LOWER, GATE_INSTRUCTIONS,
                r[i].instructions);
        if (i > 0)
            add(p, &cases[i], "ratio", "x", RESULT_HIGHER, GATE_NONE, r[0].ns / r[i].ns);
        if (i > 0 && cases[i].ratio_goal > 0)
            note_goal(p, &cases[i]);
    }
    return true;
}

static bool measure_round(struct plan *p, unsigned round)
{
    const struct micro_list *l = p->list;
    char why[256];

    for (unsigned first = 0, n; first < l->n; first += n) {
        const struct micro_case *c = &l->cases[first];
        for (n = 1; first + n < l->n && c[n].set == c->set;)
            n++;
        if (c->ops) {
            if (!measure_set(p, first, n, round))
                return false;
            continue;
        }
        step(p, c);
        if (!c->measure(c, p->o->ms, &p->result, why, sizeof why))
            return fail(p, c, why);
    }
    return true;
}

/* ---- instructions from callgrind ---- */

static bool callgrind_case(struct plan *p, const struct micro_case *c)
{
    const char *args[] = {"micro", "--bare", c->name, NULL};
    char line[64], why[256];
    unsigned long long n;
    uint64_t instructions;

    step(p, c);
    if (!callgrind_run(args, &instructions, line, sizeof line, why, sizeof why))
        return fail(p, c, why);
    if (sscanf(line, "items %llu", &n) != 1 || n == 0 || instructions == 0)
        return fail(p, c, "valgrind counted nothing");
    add(p, c, "instructions", NULL, RESULT_LOWER, GATE_INSTRUCTIONS,
        (double)instructions / (double)n);
    return true;
}

static bool callgrind_all(struct plan *p)
{
    if (!count_knows_callgrind()) {
        usage_fail_run("micro", "built without valgrind's headers: install the package valgrind, "
                                "then build again from the start (make clean all)");
        return false;
    }
    for (unsigned i = 0; i < p->list->n; i++) {
        if (!callgrind_case(p, &p->list->cases[i]))
            return false;
    }
    return true;
}

/* What callgrind_case runs. */
static int run_bare(const struct micro_list *l, const char *name)
{
    struct micro_outcome r;
    for (unsigned i = 0; i < l->n; i++) {
        const struct micro_case *c = &l->cases[i];
        if (strcmp(c->name, name) != 0 || !c->ops)
            continue;
        if (!micro_loop(c, 0, CALLGRIND_ITEMS, &r))
            return usage_fail_run("micro", "%s: a result is wrong", name);
        printf("items %llu\n", (unsigned long long)r.items);
        return BENCH_OK;
    }
    return usage_fail("micro", "--bare: nothing here is called '%s'", name);
}

/* ---- all ---- */

static int measure_all(const struct options *o, struct micro_list *l)
{
    struct plan p = {.o = o, .list = l};
    char why[256];
    bool ok = true;

    keep_possible(l);
    if (l->n == 0)
        return usage_fail_run("micro", "nothing of it can be measured here");
    result_init(&p.result, "micro");
    progress_init_stderr(&p.progress, (uint64_t)l->n * (o->callgrind ? 1 : o->rounds), clock_now());
    if (o->callgrind) {
        ok = callgrind_all(&p);
    } else {
        result_add(&p.result, "machine/cycles_counted", "yes=1", RESULT_NEITHER, GATE_NONE,
                   count_available());
        for (unsigned i = 0; i < o->rounds && ok; i++)
            ok = measure_round(&p, i);
    }
    progress_clear(&p.progress);
    if (ok)
        result_print(&p.result, stdout);
    if (ok && o->json && result_save(&p.result, o->json, why, sizeof why) != ERR_OK) {
        usage_fail_run("micro", "%s", why);
        ok = false;
    }
    result_fini(&p.result);
    return ok ? BENCH_OK : BENCH_FAILED;
}

static int print_names(const struct micro_list *l)
{
    for (unsigned i = 0; i < l->n; i++)
        printf("%s\n", l->cases[i].name);
    return BENCH_OK;
}

int bench_micro(int argc, char **argv)
{
    struct options o;
    char missing[MICRO_NAME_MAX];
    int code = parse(&o, argc, argv);

    if (code >= 0)
        return code;
    struct micro_list *l = all_cases(&o);
    if (o.callgrind)
        keep_counted(l);
    if (o.only && !select_cases(l, o.only, missing, sizeof missing))
        code = usage_fail("micro", "--only: nothing that can be measured here is called '%s'",
                          missing);
    else if (o.bare)
        code = run_bare(l, o.bare);
    else if (o.list)
        code = print_names(l);
    else
        code = measure_all(&o, l);
    free(l);
    return code;
}
