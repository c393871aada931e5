/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench pipeline: the engine's own work for a packet, with only the system calls left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/callgrind.h"
#include "bench/io_memory.h"
#include "bench/pipeline_run.h"
#include "bench/progress.h"
#include "bench/result.h"
#include "bench/usage.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/thread.h"

static const char help[] =
    "Usage: fzbench pipeline [OPTION]...\n"
    "\n"
    "Runs the engine's workers between memory and memory: bulk TCP in super-packets\n"
    "of 64 KiB from the TUN (egress), datagrams of one peer (ingress). Prints, for a\n"
    "packet, time, cycles, instructions and bytes allocated; how close that comes to\n"
    "the AEAD alone in the same batches (ceiling); and what more workers bring.\n"
    "\n"
    "      --direction D     egress, ingress or both (default: both)\n"
    "      --path P          direct, channel (with TURN channel data, as through a relay)\n"
    "                        or both (default: both)\n"
    "      --sizes LIST      IP lengths of the packets (default: 64,512,1280,1420)\n"
    "      --crypto KIND     auto, avx512 or boringssl (default: auto)\n"
    "      --workers N       measure scaling up to N workers (default: the CPUs that\n"
    "                        may be used, at most 4; 1: no scaling)\n"
    "      --rounds N        measurements of each figure, interleaved (default: 5)\n"
    "      --ms N            length of a measurement (default: 100)\n"
    "      --packets N       count so many packets instead\n"
    "      --callgrind       count instructions with valgrind instead of the CPU (that\n"
    "                        is, with BoringSSL); nothing else is measured then\n"
    "      --json FILE       write the result as JSON, too\n"
    "  -h, --help            this text\n"
    "\n"
    "Cycles are the CPU's own count or, where it cannot be had, the time at the clock\n"
    "rate that a loop of known length runs at ('machine/cycles_counted' tells).\n"
    "\n"
    "Exit code: 0; 1 if something could not be measured; 2 for wrong usage.\n";

enum {
    SIZES_MAX = 16,
    ROUNDS_MAX = 1000,
    CALLGRIND_PACKETS = 3000,
    SCALING_INNER = 1280
};

struct options {
    bool egress, ingress, direct, channel, callgrind;
    unsigned sizes[SIZES_MAX], sizes_n;
    enum crypt_backend crypto;
    unsigned workers, rounds, ms;
    uint64_t packets;
    const char *json;
    bool bare; /* --callgrind calls this program with it: one case, one line of output */
    bool ceiling;
};

/* ---- the command line ---- */

static bool parse_sizes(struct options *o, const char *text)
{
    char copy[256], *rest = NULL;
    o->sizes_n = 0;
    if (strlen(text) >= sizeof copy)
        return false;
    memcpy(copy, text, strlen(text) + 1);
    for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        uint64_t n;
        if (o->sizes_n == SIZES_MAX || !usage_number(item, TRAFFIC_INNER_MIN, 9000, &n))
            return false;
        o->sizes[o->sizes_n++] = (unsigned)n;
    }
    return o->sizes_n > 0;
}

static bool parse_direction(struct options *o, const char *text)
{
    o->egress = strcmp(text, "egress") == 0 || strcmp(text, "both") == 0;
    o->ingress = strcmp(text, "ingress") == 0 || strcmp(text, "both") == 0;
    return o->egress || o->ingress;
}

static bool parse_path(struct options *o, const char *text)
{
    o->direct = strcmp(text, "direct") == 0 || strcmp(text, "both") == 0;
    o->channel = strcmp(text, "channel") == 0 || strcmp(text, "both") == 0;
    return o->direct || o->channel;
}

static const struct option flags[] = {
    {"path", required_argument, NULL, 'P'},    {"direction", required_argument, NULL, 'd'},
    {"sizes", required_argument, NULL, 's'},   {"crypto", required_argument, NULL, 'c'},
    {"workers", required_argument, NULL, 'w'}, {"rounds", required_argument, NULL, 'r'},
    {"ms", required_argument, NULL, 'm'},      {"packets", required_argument, NULL, 'p'},
    {"callgrind", no_argument, NULL, 'g'},     {"json", required_argument, NULL, 'j'},
    {"bare", no_argument, NULL, 'b'},          {"ceiling", no_argument, NULL, 'C'},
    {"help", no_argument, NULL, 'h'},          {0}};

/* One option with its value. False: it is not right. */
static bool take_option(void *options, int flag, const char *value)
{
    struct options *o = options;
    uint64_t n = 0;
    switch (flag) {
    case 'd':
        return parse_direction(o, value);
    case 'P':
        return parse_path(o, value);
    case 's':
        return parse_sizes(o, value);
    case 'c':
        return crypt_backend_parse(&o->crypto, value) == ERR_OK;
    case 'w':
        if (!usage_number(value, 1, IO_MEMORY_WORKERS_MAX, &n))
            return false;
        o->workers = (unsigned)n;
        return true;
    case 'r':
        if (!usage_number(value, 1, ROUNDS_MAX, &n))
            return false;
        o->rounds = (unsigned)n;
        return true;
    case 'm':
        if (!usage_number(value, 1, 60000, &n))
            return false;
        o->ms = (unsigned)n;
        return true;
    case 'p':
        return usage_number(value, 1, 1000000000, &o->packets);
    case 'j':
        o->json = value;
        return true;
    default:
        o->callgrind |= flag == 'g';
        o->bare |= flag == 'b';
        o->ceiling |= flag == 'C';
        return true;
    }
}

/* -1: go on; else the exit code. */
static int parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){.egress = true,
                          .ingress = true,
                          .direct = true,
                          .channel = true,
                          .sizes = {64, 512, 1280, 1420},
                          .sizes_n = 4,
                          .workers = (unsigned)size_min(thread_cpus_usable(), 4),
                          .rounds = 5,
                          .ms = 100};
    return usage_parse("pipeline", help, flags, take_option, o, (struct usage_args){argc, argv});
}

/* ---- rows ---- */

struct plan {
    const struct options *o;
    struct result result;
    struct progress progress;
    unsigned done, total;
    bool counters;
};

static const char *direction(bool ingress)
{
    return ingress ? "ingress" : "egress";
}

static const char *path(bool channel)
{
    return channel ? "channel" : "direct";
}

static struct pipeline_case case_of(const struct options *o, bool ingress, bool channel,
                                    unsigned inner_len)
{
    return (struct pipeline_case){.ingress = ingress,
                                  .channel = channel,
                                  .inner_len = inner_len,
                                  .workers = 1,
                                  .peers = 1,
                                  .crypto = o->crypto,
                                  .ms = o->ms,
                                  .packets = o->packets};
}

static void step(struct plan *p, const char *label)
{
    progress_show(&p->progress, p->done++, label, clock_now());
}

static void add(struct plan *p, const char *base, const char *figure, const char *unit,
                enum result_better better, enum result_gate gate, double value)
{
    char name[256];
    snprintf(name, sizeof name, "%s/%s", base, figure);
    result_add(&p->result, name, unit, better, gate, value);
}

static double cycles_of(const struct pipeline_outcome *r)
{
    return r->counts.cycles > 0 ? (double)r->counts.cycles : (double)r->counts.ns * r->clock_rate;
}

static void add_case(struct plan *p, const struct pipeline_case *c,
                     const struct pipeline_outcome *r, const struct pipeline_outcome *ceiling)
{
    char base[128];
    double n = (double)r->packets, mib = (double)r->packets * c->inner_len / (1 << 20);
    uint64_t calls = c->ingress ? r->frames : r->sends;

    snprintf(base, sizeof base, "pipeline/%s/%s/%u/%s", direction(c->ingress), path(c->channel),
             c->inner_len, r->crypto);
    add(p, base, "ns", "ns/packet", RESULT_LOWER, GATE_NONE, (double)r->counts.ns / n);
    add(p, base, "cycles", "cycles/packet", RESULT_LOWER, GATE_NONE, cycles_of(r) / n);
    if (r->counts.instructions > 0)
        add(p, base, "instructions", "instructions/packet", RESULT_LOWER, GATE_INSTRUCTIONS,
            (double)r->counts.instructions / n);
    if (r->counts.instructions > 0 && ceiling->counts.instructions > 0)
        add(p, base, "instructions_beside_aead", "instructions/packet", RESULT_LOWER,
            GATE_INSTRUCTIONS,
            (double)r->counts.instructions / n -
                (double)ceiling->counts.instructions / (double)ceiling->packets);
    add(p, base, "of_ceiling", "x", RESULT_HIGHER, GATE_NONE,
        (double)ceiling->counts.ns / (double)ceiling->packets / ((double)r->counts.ns / n));
    add(p, base, c->ingress ? "writes" : "sends", "/MiB", RESULT_LOWER, GATE_SYSCALLS,
        (double)calls / mib);
    add(p, base, "allocated", "bytes/packet", RESULT_LOWER, GATE_ZERO,
        (double)r->counts.allocated / n);
}

static bool measure_case(struct plan *p, bool ingress, bool channel, unsigned inner_len)
{
    struct pipeline_case c = case_of(p->o, ingress, channel, inner_len);
    struct pipeline_outcome r, ceiling;
    char why[256], label[64];

    snprintf(label, sizeof label, "%s, %s, %u bytes", direction(ingress), path(channel), inner_len);
    step(p, label);
    if (pipeline_run(&c, &r, why, sizeof why) && pipeline_ceiling(&c, &ceiling, why, sizeof why)) {
        add_case(p, &c, &r, &ceiling);
        return true;
    }
    progress_clear(&p->progress);
    usage_fail_run("pipeline", "%s: %s", label, why);
    return false;
}

/* Workers 1 and n in turn, with n peers and with one; each against the AEAD alone on as many threads. */
static bool measure_scaling(struct plan *p, bool ingress, unsigned workers)
{
    struct pipeline_case one = case_of(p->o, ingress, false, SCALING_INNER), many, hot;
    struct pipeline_outcome r1, rn, rh, a1, an;
    char why[256], label[64], base[128];

    one.apart = true;
    many = hot = one;
    many.workers = many.peers = hot.workers = workers;
    snprintf(label, sizeof label, "%s, %u workers", direction(ingress), workers);
    step(p, label);
    if (!pipeline_run(&one, &r1, why, sizeof why) || !pipeline_run(&many, &rn, why, sizeof why) ||
        !pipeline_run(&hot, &rh, why, sizeof why) ||
        !pipeline_ceiling(&one, &a1, why, sizeof why) ||
        !pipeline_ceiling(&many, &an, why, sizeof why)) {
        progress_clear(&p->progress);
        usage_fail_run("pipeline", "%s: %s", label, why);
        return false;
    }
    double aead = an.rate / a1.rate;
    snprintf(base, sizeof base, "pipeline/scaling/%s/%u/%s/%u_workers", direction(ingress),
             (unsigned)SCALING_INNER, r1.crypto, workers);
    add(p, base, "aead_alone", "x", RESULT_NEITHER, GATE_NONE, aead);
    add(p, base, "peers", "of AEAD's", RESULT_HIGHER, GATE_NONE, rn.rate / r1.rate / aead);
    add(p, base, "hot_peer", "of AEAD's", RESULT_HIGHER, GATE_NONE, rh.rate / r1.rate / aead);
    return true;
}

static bool measure_round(struct plan *p)
{
    const struct options *o = p->o;
    for (unsigned ingress = 0; ingress < 2; ingress++) {
        if (!(ingress ? o->ingress : o->egress))
            continue;
        for (unsigned i = 0; i < o->sizes_n; i++) {
            if ((o->direct && !measure_case(p, ingress, false, o->sizes[i])) ||
                (o->channel && !measure_case(p, ingress, true, o->sizes[i])))
                return false;
        }
        for (unsigned n = 2; n <= o->workers && o->packets == 0; n++) {
            if (!measure_scaling(p, ingress, n))
                return false;
        }
    }
    return true;
}

/* ---- callgrind ---- */

static bool callgrind_count(struct plan *p, const struct pipeline_case *c, bool ceiling,
                            double *per_packet)
{
    char size[16], packets[16], label[64], line[64], why[256];
    const char *args[] = {"pipeline",
                          "--bare",
                          "--path",
                          path(c->channel),
                          "--sizes",
                          size,
                          "--packets",
                          packets,
                          "--crypto",
                          "boringssl",
                          "--workers",
                          "1",
                          "--direction",
                          direction(c->ingress),
                          ceiling ? "--ceiling" : NULL,
                          NULL};
    unsigned long long n;
    uint64_t instructions;

    snprintf(size, sizeof size, "%u", c->inner_len);
    snprintf(packets, sizeof packets, "%u",
             p->o->packets > 0 ? (unsigned)p->o->packets : CALLGRIND_PACKETS);
    snprintf(label, sizeof label, "%s, %s, %u bytes%s", direction(c->ingress), path(c->channel),
             c->inner_len, ceiling ? ", AEAD alone" : "");
    step(p, label);
    if (!callgrind_run(args, &instructions, line, sizeof line, why, sizeof why)) {
        progress_clear(&p->progress);
        usage_fail_run("pipeline", "%s: %s", label, why);
        return false;
    }
    if (sscanf(line, "packets %llu", &n) != 1 || n == 0 || instructions == 0) {
        progress_clear(&p->progress);
        usage_fail_run("pipeline", "%s: valgrind counted nothing", label);
        return false;
    }
    *per_packet = (double)instructions / (double)n;
    return true;
}

static bool callgrind_case(struct plan *p, bool ingress, bool channel, unsigned inner_len)
{
    struct pipeline_case c = case_of(p->o, ingress, channel, inner_len);
    double all, aead;
    char base[128];

    if (!callgrind_count(p, &c, false, &all) || !callgrind_count(p, &c, true, &aead))
        return false;
    snprintf(base, sizeof base, "pipeline/%s/%s/%u/boringssl", direction(ingress), path(channel),
             inner_len);
    add(p, base, "instructions", "instructions/packet", RESULT_LOWER, GATE_INSTRUCTIONS, all);
    add(p, base, "instructions_beside_aead", "instructions/packet", RESULT_LOWER, GATE_INSTRUCTIONS,
        all - aead);
    return true;
}

static bool callgrind_all(struct plan *p)
{
    const struct options *o = p->o;
    for (unsigned ingress = 0; ingress < 2; ingress++) {
        for (unsigned i = 0; i < o->sizes_n && (ingress ? o->ingress : o->egress); i++) {
            if ((o->direct && !callgrind_case(p, ingress, false, o->sizes[i])) ||
                (o->channel && !callgrind_case(p, ingress, true, o->sizes[i])))
                return false;
        }
    }
    return true;
}

/* What callgrind_count runs. */
static int run_bare(const struct options *o)
{
    struct pipeline_case c = case_of(o, o->ingress, o->channel, o->sizes[0]);
    struct pipeline_outcome r;
    char why[256];
    if (!(o->ceiling ? pipeline_ceiling(&c, &r, why, sizeof why)
                     : pipeline_run(&c, &r, why, sizeof why)))
        return usage_fail_run("pipeline", "%s", why);
    printf("packets %llu\n", (unsigned long long)r.packets);
    return BENCH_OK;
}

/* ---- all ---- */

static unsigned steps(const struct options *o)
{
    unsigned directions = (unsigned)o->egress + (unsigned)o->ingress;
    unsigned cases = o->sizes_n * ((unsigned)o->direct + (unsigned)o->channel);
    if (o->callgrind)
        return directions * cases * 2;
    return o->rounds * directions * (cases + (o->packets == 0 ? o->workers - 1 : 0));
}

int bench_pipeline(int argc, char **argv)
{
    struct options o;
    struct plan p = {.o = &o};
    char why[256];
    int code = parse(&o, argc, argv);

    if (code >= 0)
        return code;
    if (o.bare)
        return run_bare(&o);
    result_init(&p.result, "pipeline");
    progress_init_stderr(&p.progress, steps(&o), clock_now());
    bool ok = true;
    if (o.callgrind && !count_knows_callgrind()) {
        usage_fail_run("pipeline",
                       "built without valgrind's headers: install the package valgrind, "
                       "then build again from the start (make clean all)");
        ok = false;
    } else if (o.callgrind) {
        ok = callgrind_all(&p);
    } else {
        result_add(&p.result, "machine/cycles_counted", "yes=1", RESULT_NEITHER, GATE_NONE,
                   count_available());
        for (unsigned i = 0; i < o.rounds && ok; i++)
            ok = measure_round(&p);
    }
    progress_clear(&p.progress);
    if (ok)
        result_print(&p.result, stdout);
    if (ok && o.json && result_save(&p.result, o.json, why, sizeof why) != ERR_OK) {
        usage_fail_run("pipeline", "%s", why);
        ok = false;
    }
    result_fini(&p.result);
    return ok ? BENCH_OK : BENCH_FAILED;
}
