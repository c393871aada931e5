/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is one JSON object: "format": 1, the texts of `struct result` under their names, and "rows", an array of
 * objects with "name", "unit", "better", "gate" and "samples". Samples are kept to 15 significant digits.
 */
#include "bench/result.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/figure.h"
#include "bench/save.h"
#include "control/version.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/file.h"

#ifndef FZ_REVISION
#define FZ_REVISION ""
#endif

enum {
    FORMAT = 1,
    FILE_MAX = 64 << 20,
    ROWS_MAX = 10000, /* every search walks all rows */
    SAMPLES_MAX = 1000000,
    TEXT_MAX = 255,
    CPUINFO_MAX = 4 << 20,
    SAMPLE_DIGITS = 15
};

static const double sample_limit = 1e18;

static const char *const better_names[] = {
    [RESULT_LOWER] = "lower",
    [RESULT_HIGHER] = "higher",
    [RESULT_NEITHER] = "neither",
};
static const char *const gate_names[] = {
    [GATE_NONE] = "none",
    [GATE_INSTRUCTIONS] = "instructions",
    [GATE_SYSCALLS] = "syscalls",
    [GATE_ZERO] = "zero",
};

/* C0, DEL and C1, which terminals obey. */
static bool has_control(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
            return true;
    }
    return false;
}

static char *dup_text(const char *text)
{
    return mem_dup_text(text, strlen(text));
}

/* This machine and moment */

/* The processor's name as Linux tells it, or its architecture where it does not. */
static void cpu_name(char *buf, size_t size)
{
    static const char key[] = "\nmodel name\t: ";
    struct file_content info;
    struct utsname system;
    char why[64];

    snprintf(buf, size, "unknown CPU");
    if (uname(&system) == 0)
        snprintf(buf, size, "%s CPU", system.machine);
    if (file_read(&info, "/proc/cpuinfo", CPUINFO_MAX, why, sizeof why) != ERR_OK)
        return;
    const char *found = strstr(info.bytes, key);
    if (found) {
        found += sizeof key - 1;
        snprintf(buf, size, "%.*s", (int)strcspn(found, "\n"), found);
    }
    file_content_wipe(&info);
}

static char *machine_text(void)
{
    char cpu[128], text[TEXT_MAX + 1];
    struct utsname system;

    cpu_name(cpu, sizeof cpu);
    if (uname(&system) != 0)
        snprintf(system.release, sizeof system.release, "unknown");
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(text, sizeof text, "%s, %ld CPU%s, Linux %s", cpu, cpus, cpus == 1 ? "" : "s",
             system.release);
    for (char *p = text; *p; p++) {
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
    }
    return dup_text(text);
}

static char *date_text(void)
{
    char text[32] = "";
    time_t now = time(NULL);
    struct tm utc;

    if (gmtime_r(&now, &utc))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return dup_text(text);
}

void result_init(struct result *r, const char *command)
{
    *r = (struct result){
        .command = dup_text(command),
        .version = dup_text(FZ_REVISION[0] ? FZ_REVISION : FZ_VERSION),
        .machine = machine_text(),
        .date = date_text(),
    };
}

void result_fini(struct result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->rows[i].name);
        free(r->rows[i].unit);
        free(r->rows[i].note);
        free(r->rows[i].samples);
    }
    free(r->rows);
    free(r->command);
    free(r->version);
    free(r->machine);
    free(r->date);
    *r = (struct result){0};
}

/* Rows and samples */

static void *make_room(void *array, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return array;
    *capacity = n > 0 ? 2 * n : 1;
    return mem_grow(array, n, size);
}

static struct result_row *add_row(struct result *r, const char *name, const char *unit,
                                  enum result_better better, enum result_gate gate)
{
    r->rows = make_room(r->rows, r->n, &r->capacity, sizeof *r->rows);
    struct result_row *row = &r->rows[r->n++];
    *row = (struct result_row){
        .name = dup_text(name), .unit = dup_text(unit), .better = better, .gate = gate};
    return row;
}

static void add_sample(struct result_row *row, double sample)
{
    row->samples = make_room(row->samples, row->n, &row->capacity, sizeof *row->samples);
    row->samples[row->n++] = sample;
}

static struct result_row *find(const struct result *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->rows[i].name, name) == 0)
            return &r->rows[i];
    }
    return NULL;
}

static bool sample_valid(double sample)
{
    return isfinite(sample) && fabs(sample) <= sample_limit;
}

void result_add(struct result *r, const char *name, const char *unit, enum result_better better,
                enum result_gate gate, double sample)
{
    struct result_row *row = find(r, name);

    ASSERT(sample_valid(sample));
    if (!row) {
        ASSERT(r->n < ROWS_MAX && name[0]);
        ASSERT(strlen(name) <= TEXT_MAX && !has_control(name));
        ASSERT(strlen(unit) <= TEXT_MAX && !has_control(unit));
        row = add_row(r, name, unit, better, gate);
    }
    ASSERT(strcmp(row->unit, unit) == 0 && row->better == better && row->gate == gate);
    ASSERT(row->n < SAMPLES_MAX);
    add_sample(row, sample);
}

void result_note(struct result *r, const char *name, const char *note)
{
    struct result_row *row = find(r, name);

    ASSERT(row && strlen(note) <= TEXT_MAX && !has_control(note));
    free(row->note);
    row->note = dup_text(note);
}

const struct result_row *result_find(const struct result *r, const char *name)
{
    return find(r, name);
}

static int compare_samples(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double result_median(const struct result_row *row)
{
    if (row->n == 0)
        return 0;
    double *sorted = mem_zalloc(row->n, sizeof *sorted);
    memcpy(sorted, row->samples, row->n * sizeof *sorted);
    qsort(sorted, row->n, sizeof *sorted, compare_samples);
    double median = (sorted[(row->n - 1) / 2] + sorted[row->n / 2]) / 2;
    free(sorted);
    return median;
}

double result_min(const struct result_row *row)
{
    double min = row->n > 0 ? row->samples[0] : 0;
    for (size_t i = 1; i < row->n; i++)
        min = fmin(min, row->samples[i]);
    return min;
}

double result_max(const struct result_row *row)
{
    double max = row->n > 0 ? row->samples[0] : 0;
    for (size_t i = 1; i < row->n; i++)
        max = fmax(max, row->samples[i]);
    return max;
}

bool result_overlap(const struct result_row *a, const struct result_row *b)
{
    return result_min(a) <= result_max(b) && result_min(b) <= result_max(a);
}

void result_print(const struct result *r, FILE *out)
{
    size_t width = sizeof "name" - 1;

    for (size_t i = 0; i < r->n; i++)
        width = size_max(width, strlen(r->rows[i].name));
    fprintf(out, "%-*s %12s %25s  unit\n", (int)width, "name", "median", "min .. max");
    for (size_t i = 0; i < r->n; i++) {
        const struct result_row *row = &r->rows[i];
        char median[FIGURE_TEXT_MAX], min[FIGURE_TEXT_MAX], max[FIGURE_TEXT_MAX];
        char spread[2 * FIGURE_TEXT_MAX + 4] = "";

        figure_format(result_median(row), median, sizeof median);
        figure_format(result_min(row), min, sizeof min);
        figure_format(result_max(row), max, sizeof max);
        if (row->n > 1)
            snprintf(spread, sizeof spread, "%s .. %s", min, max);
        fprintf(out, "%-*s %12s %25s  %s%s%s%s\n", (int)width, row->name, median, spread, row->unit,
                row->note ? " (" : "", row->note ? row->note : "", row->note ? ")" : "");
    }
}

/* Writing */

static json_t *row_to_json(const struct result_row *row)
{
    json_t *samples = mem_check(json_array());

    for (size_t i = 0; i < row->n; i++) {
        if (json_array_append_new(samples, json_real(row->samples[i])) != 0)
            mem_check(NULL);
    }
    return mem_check(json_pack("{ssssssssss*so}", "name", row->name, "unit", row->unit, "better",
                               better_names[row->better], "gate", gate_names[row->gate], "note",
                               row->note, "samples", samples));
}

/* The file's bytes; malloc'd. */
static char *result_to_text(const struct result *r)
{
    json_t *rows = mem_check(json_array());

    for (size_t i = 0; i < r->n; i++) {
        if (json_array_append_new(rows, row_to_json(&r->rows[i])) != 0)
            mem_check(NULL);
    }
    json_t *root =
        mem_check(json_pack("{sissssssssso}", "format", FORMAT, "command", r->command, "version",
                            r->version, "machine", r->machine, "date", r->date, "rows", rows));
    char *text = mem_check(json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(SAMPLE_DIGITS)));
    json_decref(root);
    return text;
}

enum err result_save(const struct result *r, const char *path, char *why, size_t why_size)
{
    char *text = result_to_text(r);
    size_t len = strlen(text);
    enum err err = ERR_NO_SPACE;

    if (len > FILE_MAX)
        snprintf(why, why_size, "cannot write %s: the result is larger than %d MiB", path,
                 FILE_MAX >> 20);
    else
        err = save_whole(path, text, len, why, why_size);
    free(text);
    return err;
}

/* Reading */

struct reader {
    const char *name; /* what messages call the file */
    char *why;
    size_t why_size;
};

/* The field `prefix` + `key`, or all if both are empty. Nothing of the file reaches a terminal as it is. */
__attribute__((format(printf, 4, 5))) static void
refuse(const struct reader *in, const char *prefix, const char *key, const char *fmt, ...)
{
    char problem[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(problem, sizeof problem, fmt, ap);
    va_end(ap);
    for (char *p = problem; *p; p++) {
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
    }
    snprintf(in->why, in->why_size, "%s: %s%s%s%s", in->name, prefix, key,
             prefix[0] || key[0] ? ": " : "", problem);
}

/* NULL, false or -1: refused; here and below. */
static const char *read_text(const struct reader *in, const json_t *object, const char *prefix,
                             const char *key)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);

    if (!value)
        refuse(in, prefix, key, "is missing");
    else if (!text)
        refuse(in, prefix, key, "must be a string");
    else if (strlen(text) > TEXT_MAX)
        refuse(in, prefix, key, "is longer than %d bytes", TEXT_MAX);
    else if (has_control(text))
        refuse(in, prefix, key, "has a control character in it");
    else
        return text;
    return NULL;
}

/* One of `names`, as its index. */
static int read_word(const struct reader *in, const json_t *object, const char *prefix,
                     const char *key, const char *const *names, int n)
{
    const char *text = read_text(in, object, prefix, key);
    char list[128] = "";

    if (!text)
        return -1;
    for (int i = 0; i < n; i++) {
        size_t len = strlen(list);
        if (strcmp(text, names[i]) == 0)
            return i;
        snprintf(list + len, sizeof list - len, "%s\"%s\"", len > 0 ? ", " : "", names[i]);
    }
    refuse(in, prefix, key, "must be one of %s", list);
    return -1;
}

static const json_t *read_array(const struct reader *in, const json_t *object, const char *prefix,
                                const char *key, size_t max)
{
    const json_t *array = json_object_get(object, key);

    if (!array)
        refuse(in, prefix, key, "is missing");
    else if (!json_is_array(array))
        refuse(in, prefix, key, "must be an array");
    else if (json_array_size(array) > max)
        refuse(in, prefix, key, "has more than %zu elements", max);
    else
        return array;
    return NULL;
}

static bool read_samples(const struct reader *in, const json_t *object, const char *prefix,
                         struct result_row *row)
{
    const json_t *samples = read_array(in, object, prefix, "samples", SAMPLES_MAX);

    for (size_t i = 0; i < json_array_size(samples); i++) {
        const json_t *sample = json_array_get(samples, i);
        double value = json_number_value(sample);
        if (!json_is_number(sample)) {
            refuse(in, prefix, "samples", "element %zu must be a number", i);
            return false;
        }
        if (!sample_valid(value)) {
            refuse(in, prefix, "samples", "element %zu is beyond %g", i, sample_limit);
            return false;
        }
        add_sample(row, value);
    }
    if (samples && row->n == 0)
        refuse(in, prefix, "samples", "must not be empty");
    return row->n > 0;
}

static bool read_row(const struct reader *in, const json_t *object, size_t i, struct result *r)
{
    const char *name, *unit;
    const char *note = json_string_value(json_object_get(object, "note"));
    char prefix[32];
    int better, gate;

    snprintf(prefix, sizeof prefix, "rows[%zu]", i);
    if (!json_is_object(object)) {
        refuse(in, prefix, "", "must be an object");
        return false;
    }
    snprintf(prefix, sizeof prefix, "rows[%zu].", i);
    if (!(name = read_text(in, object, prefix, "name")) ||
        !(unit = read_text(in, object, prefix, "unit")) ||
        (better = read_word(in, object, prefix, "better", better_names, ARRAY_LEN(better_names))) <
            0 ||
        (gate = read_word(in, object, prefix, "gate", gate_names, ARRAY_LEN(gate_names))) < 0)
        return false;
    const struct result_row *twin = find(r, name);
    if (!name[0])
        refuse(in, prefix, "name", "must not be empty");
    else if (twin)
        refuse(in, prefix, "name", "\"%s\" is that of rows[%td], too", name, twin - r->rows);
    if (!name[0] || twin)
        return false;
    struct result_row *row = add_row(r, name, unit, better, gate);
    if (note && strlen(note) <= TEXT_MAX && !has_control(note))
        row->note = dup_text(note);
    return read_samples(in, object, prefix, row);
}

static bool read_format(const struct reader *in, const json_t *root)
{
    const json_t *format = json_object_get(root, "format");

    if (!json_is_object(root))
        refuse(in, "", "", "is not a result of fzbench: must be an object");
    else if (!format)
        refuse(in, "", "format", "is missing, so this is not a result of fzbench");
    else if (!json_is_integer(format))
        refuse(in, "", "format", "must be a whole number");
    else if (json_integer_value(format) != FORMAT)
        refuse(in, "", "format",
               "is %" JSON_INTEGER_FORMAT ", but this fzbench reads format %d only",
               json_integer_value(format), FORMAT);
    else
        return true;
    return false;
}

static bool read_result(const struct reader *in, const json_t *root, struct result *r)
{
    const struct {
        const char *key;
        char **out;
    } texts[] = {
        {"command", &r->command},
        {"version", &r->version},
        {"machine", &r->machine},
        {"date", &r->date},
    };

    if (!read_format(in, root))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *text = read_text(in, root, "", texts[i].key);
        if (!text)
            return false;
        *texts[i].out = dup_text(text);
    }
    const json_t *rows = read_array(in, root, "", "rows", ROWS_MAX);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (!read_row(in, json_array_get(rows, i), i, r))
            return false;
    }
    return rows != NULL;
}

enum err result_parse(struct result *r, const char *name, const char *text, size_t len, char *why,
                      size_t why_size)
{
    struct reader in = {name, why, why_size};
    struct result loaded = {0};
    json_error_t e;

    if (len > FILE_MAX) {
        refuse(&in, "", "", "is larger than %d MiB", FILE_MAX >> 20);
        return ERR_PARSE;
    }
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
    if (!root && json_error_code(&e) == json_error_out_of_memory)
        mem_check(NULL);
    if (!root) {
        refuse(&in, "", "", "line %d: is not JSON: %s", e.line, e.text);
        return ERR_PARSE;
    }
    bool ok = read_result(&in, root, &loaded);
    json_decref(root);
    if (ok)
        *r = loaded;
    else
        result_fini(&loaded);
    return ok ? ERR_OK : ERR_PARSE;
}

enum err result_load(struct result *r, const char *path, char *why, size_t why_size)
{
    struct file_content file;
    char problem[128];
    enum err err = file_read(&file, path, FILE_MAX, problem, sizeof problem);

    if (err != ERR_OK) {
        snprintf(why, why_size, "cannot read %s: %s", path, problem);
        return err;
    }
    err = result_parse(r, path, file.bytes, file.len, why, why_size);
    file_content_wipe(&file);
    return err;
}
