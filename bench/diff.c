/* SPDX-License-Identifier: Apache-2.0 */
/* fzbench diff: two results of one command, row by row, and whether the newer one is worse than allowed. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/figure.h"
#include "bench/result.h"
#include "bench/save.h"
#include "bench/usage.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

static const char help[] =
    "Usage: fzbench diff OLD NEW [OPTION]...\n"
    "\n"
    "Compares two result files of the same command by the names of their rows:\n"
    "medians, and what they changed by.\n"
    "\n"
    "      --max-regress PERCENT  fail where the median is worse by more than this\n"
    "                             (0 to 1000)\n"
    "      --json FILE            write the comparison as JSON, too\n"
    "  -h, --help                 this text\n"
    "\n"
    "These always fail:\n"
    "  - instructions per packet that grew by more than 2 %\n"
    "  - system calls per packet that grew by more than 10 %\n"
    "  - a figure that must be 0, and is not in any sample of NEW\n"
    "  - such a row of OLD that is missing in NEW, or has another unit there\n"
    "--max-regress looks at all other rows as well, in the direction that is worse\n"
    "for each (rows without such a direction are only shown), and it tightens the\n"
    "2 % and 10 % if it is less; it never makes them looser.\n"
    "\n"
    "'better' and 'worse' mean that the samples of both files do not overlap;\n"
    "otherwise the difference is 'within the spread'.\n"
    "\n"
    "Exit code: 0; 1 if a row fails, nothing could be compared or a file cannot\n"
    "be read or written; 2 for wrong usage.\n";

static const double instructions_limit = 2, syscalls_limit = 10, max_regress_max = 1000;

#define OUTCOME_LIST(X)                                                                            \
    X(SAME, "same")                                                                                \
    X(SPREAD, "within the spread")                                                                 \
    X(BETTER, "better")                                                                            \
    X(WORSE, "worse")                                                                              \
    X(OTHER, "different")                                                                          \
    X(UNIT, "another unit")                                                                        \
    X(MISSING, "missing")                                                                          \
    X(NEW, "new")                                                                                  \
    X(NOT_ZERO, "not 0")                                                                           \
    X(LIMIT, "worse than allowed")

enum outcome {
#define X(name, text) OUTCOME_##name,
    OUTCOME_LIST(X)
#undef X
    OUTCOMES
};

static const char *const outcome_names[] = {
#define X(name, text) [OUTCOME_##name] = text,
    OUTCOME_LIST(X)
#undef X
};

struct entry {
    const struct result_row *before, *after; /* NULL: not in that file */
    const struct result_row *row;            /* the one that is there, or the newer one */
    enum outcome outcome;
    double limit; /* worse by more per cent than this fails; INFINITY: anything passes */
    bool failed;
};

struct diff {
    struct entry *entries;
    size_t n, compared, failed;
    size_t outcomes[OUTCOMES];
};

/* How much worse, in per cent, a row of this kind may become. */
static double limit_of(enum result_gate gate, enum result_better better, double max_regress)
{
    switch (gate) {
    case GATE_NONE:
        return better == RESULT_NEITHER ? INFINITY : max_regress;
    case GATE_INSTRUCTIONS:
        return fmin(instructions_limit, max_regress);
    case GATE_SYSCALLS:
        return fmin(syscalls_limit, max_regress);
    case GATE_ZERO:
        break;
    }
    return INFINITY;
}

static enum outcome outcome_of(const struct result_row *before, const struct result_row *after,
                               enum result_better better)
{
    double from = result_median(before), to = result_median(after);

    if (from == to)
        return OUTCOME_SAME;
    if (result_overlap(before, after))
        return OUTCOME_SPREAD;
    if (better == RESULT_NEITHER)
        return OUTCOME_OTHER;
    return (better == RESULT_LOWER) == (to < from) ? OUTCOME_BETTER : OUTCOME_WORSE;
}

static bool any_sample(const struct result_row *row)
{
    return result_min(row) != 0 || result_max(row) != 0;
}

/* A gate that only one file knows counts, lest it is lost. */
static enum result_gate gate_of(const struct entry *e)
{
    if (!e->before || (e->after && e->after->gate != GATE_NONE))
        return e->after->gate;
    return e->before->gate;
}

static void compare_medians(struct entry *e, enum result_gate gate, double max_regress)
{
    /* What gates count is better lower. */
    enum result_better better = gate == GATE_NONE ? e->after->better : RESULT_LOWER;
    double change = figure_change(result_median(e->before), result_median(e->after));
    double worse = better == RESULT_HIGHER ? -change : change;

    e->limit = limit_of(gate, better, max_regress);
    e->failed = worse > e->limit + 1e-9; /* exactly at the limit passes, however it rounds */
    e->outcome = e->failed ? OUTCOME_LIMIT : outcome_of(e->before, e->after, better);
}

static void compare(struct entry *e, double max_regress)
{
    enum result_gate gate = gate_of(e);

    if (!e->after) {
        e->outcome = OUTCOME_MISSING;
        e->failed = gate != GATE_NONE;
    } else if (gate == GATE_ZERO && any_sample(e->after)) {
        e->outcome = OUTCOME_NOT_ZERO;
        e->failed = true;
    } else if (!e->before) {
        e->outcome = OUTCOME_NEW;
    } else if (strcmp(e->before->unit, e->after->unit) != 0) {
        e->outcome = OUTCOME_UNIT;
        e->failed = gate != GATE_NONE;
    } else {
        compare_medians(e, gate, max_regress);
    }
}

static void diff_add(struct diff *d, const struct result_row *before,
                     const struct result_row *after, double max_regress)
{
    struct entry *e = &d->entries[d->n++];

    *e = (struct entry){
        .before = before, .after = after, .row = after ? after : before, .limit = INFINITY};
    compare(e, max_regress);
    d->outcomes[e->outcome]++;
    d->failed += e->failed;
    d->compared += before && after && e->outcome != OUTCOME_UNIT;
}

/* OLD's rows in their order, then those that are new. max_regress: INFINITY for none. */
static void diff_init(struct diff *d, const struct result *old, const struct result *new,
                      double max_regress)
{
    *d = (struct diff){.entries = mem_zalloc(old->n + new->n, sizeof *d->entries)};
    for (size_t i = 0; i < old->n; i++)
        diff_add(d, &old->rows[i], result_find(new, old->rows[i].name), max_regress);
    for (size_t i = 0; i < new->n; i++) {
        if (!result_find(old, new->rows[i].name))
            diff_add(d, NULL, &new->rows[i], max_regress);
    }
}

static void diff_fini(struct diff *d)
{
    free(d->entries);
    *d = (struct diff){0};
}

/* The table */

static const char *median_text(const struct result_row *row, char *buf, size_t size)
{
    return row ? figure_format(result_median(row), buf, size) : "-";
}

static void print_entry(const struct entry *e, int name_width, int unit_width, FILE *out)
{
    char from[FIGURE_TEXT_MAX], to[FIGURE_TEXT_MAX], change[FIGURE_TEXT_MAX] = "";

    if (e->before && e->after && e->outcome != OUTCOME_UNIT)
        figure_format_change(result_median(e->before), result_median(e->after), change,
                             sizeof change);
    fprintf(out, "%-*s %12s %12s %-*s %10s  ", name_width, e->row->name,
            median_text(e->before, from, sizeof from), median_text(e->after, to, sizeof to),
            unit_width, e->row->unit, change);
    if (e->outcome == OUTCOME_LIMIT)
        fprintf(out, "FAIL: worse by more than %g %%\n", e->limit);
    else
        fprintf(out, "%s%s\n", e->failed ? "FAIL: " : "", outcome_names[e->outcome]);
}

static void print_diff(const struct diff *d, FILE *out)
{
    size_t name = sizeof "name" - 1, unit = sizeof "unit" - 1;
    const char *separator = ":";

    for (size_t i = 0; i < d->n; i++) {
        name = size_max(name, strlen(d->entries[i].row->name));
        unit = size_max(unit, strlen(d->entries[i].row->unit));
    }
    fprintf(out, "%-*s %12s %12s %-*s %10s  verdict\n", (int)name, "name", "old", "new", (int)unit,
            "unit", "change");
    for (size_t i = 0; i < d->n; i++)
        print_entry(&d->entries[i], (int)name, (int)unit, out);
    fprintf(out, "%zu rows", d->n);
    for (unsigned o = 0; o < OUTCOMES; o++) {
        if (d->outcomes[o] == 0)
            continue;
        fprintf(out, "%s %zu %s", separator, d->outcomes[o], outcome_names[o]);
        separator = ",";
    }
    fprintf(out, "; %zu fail\n", d->failed);
}

/* JSON */

static json_t *figure_json(bool known, double value)
{
    return mem_check(known && isfinite(value) ? json_real(value) : json_null());
}

static json_t *file_json(const char *path, const struct result *r)
{
    /* A path need not be UTF-8. */
    return mem_check(json_pack("{so?ssssss}", "file", json_string(path), "version", r->version,
                               "machine", r->machine, "date", r->date));
}

static json_t *entry_json(const struct entry *e)
{
    double from = e->before ? result_median(e->before) : 0;
    double to = e->after ? result_median(e->after) : 0;
    bool both = e->before && e->after && e->outcome != OUTCOME_UNIT;

    return mem_check(json_pack(
        "{sssssosososossso}", "name", e->row->name, "unit", e->row->unit, "old",
        figure_json(e->before, from), "new", figure_json(e->after, to), "change_percent",
        figure_json(both, figure_change(from, to)), "limit_percent", figure_json(true, e->limit),
        "verdict", outcome_names[e->outcome], "failed", json_boolean(e->failed)));
}

static enum err save_json(const struct diff *d, json_t *old, json_t *new, const char *path,
                          char *why, size_t why_size)
{
    json_t *rows = mem_check(json_array());

    for (size_t i = 0; i < d->n; i++) {
        if (json_array_append_new(rows, entry_json(&d->entries[i])) != 0)
            mem_check(NULL);
    }
    json_t *root = mem_check(json_pack("{sosososo}", "old", old, "new", new, "failed",
                                       json_integer((json_int_t)d->failed), "rows", rows));
    char *text = mem_check(json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(15)));
    enum err err = save_whole(path, text, strlen(text), why, why_size);
    free(text);
    json_decref(root);
    return err;
}

/* The command */

struct arguments {
    const char *old, *new, *json;
    double max_regress;
};

static bool percent_parse(const char *text, double *out)
{
    char *end;

    if (!strchr("0123456789.", text[0]))
        return false;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= 0 && *out <= max_regress_max;
}

/* BENCH_OK, or what to return; -1 for a request for help. */
static int arguments_parse(struct arguments *a, int argc, char **argv)
{
    static const struct option flags[] = {
        {"max-regress", required_argument, NULL, 'm'},
        {"json", required_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int code;

    *a = (struct arguments){.max_regress = INFINITY};
    optind = 0;
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":h", flags, NULL)) != -1) {
        switch (code) {
        case 'm':
            if (!percent_parse(optarg, &a->max_regress))
                return usage_fail("diff", "--max-regress: '%s' is not a number from 0 to %g",
                                  optarg, max_regress_max);
            break;
        case 'j':
            a->json = optarg;
            break;
        case 'h':
            return -1;
        default:
            return usage_fail_getopt("diff", code, flags, argv);
        }
    }
    if (argc - optind != 2)
        return usage_fail("diff", "two files are needed, OLD and NEW, not %d", argc - optind);
    a->old = argv[optind];
    a->new = argv[optind + 1];
    return BENCH_OK;
}

static int compare_results(const struct arguments *a, const struct result *old,
                           const struct result *new)
{
    char why[512];
    struct diff d;

    if (strcmp(old->command, new->command) != 0)
        return usage_fail_run("diff", "%s is a result of '%s' and %s one of '%s'", a->old,
                              old->command, a->new, new->command);
    if (strcmp(old->machine, new->machine) != 0)
        usage_warn("diff", "measured on different machines, so only counts compare: '%s' and '%s'",
                   old->machine, new->machine);
    diff_init(&d, old, new, a->max_regress);
    printf("old: %s  %s  %s\nnew: %s  %s  %s\n\n", a->old, old->version, old->date, a->new,
           new->version, new->date);
    print_diff(&d, stdout);
    int code = d.failed > 0 ? BENCH_FAILED : BENCH_OK;
    if (d.compared == 0)
        code = usage_fail_run("diff", "no row is in both files, so nothing was compared");
    if (a->json && save_json(&d, file_json(a->old, old), file_json(a->new, new), a->json, why,
                             sizeof why) != ERR_OK)
        code = usage_fail_run("diff", "%s", why);
    diff_fini(&d);
    return code;
}

int bench_diff(int argc, char **argv)
{
    struct result old, new;
    struct arguments a;
    char why[512];
    int code = arguments_parse(&a, argc, argv);

    if (code < 0)
        return fputs(help, stdout) < 0 ? BENCH_FAILED : BENCH_OK;
    if (code != BENCH_OK)
        return code;
    if (result_load(&old, a.old, why, sizeof why) != ERR_OK)
        return usage_fail_run("diff", "%s", why);
    if (result_load(&new, a.new, why, sizeof why) == ERR_OK) {
        code = compare_results(&a, &old, &new);
        result_fini(&new);
    } else {
        code = usage_fail_run("diff", "%s", why);
    }
    result_fini(&old);
    return code;
}
