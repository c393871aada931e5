/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a benchmark found: rows of samples, printed as a table and kept as JSON.
 *
 * A row is one figure, measured several times; its name is a path ("aead/seal/avx512/32x1280") that stays the same
 * between versions, so that `fzbench diff` and `fzbench report` can compare files. One thread uses a result at a time.
 */
#ifndef FZ_BENCH_RESULT_H
#define FZ_BENCH_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "platform/base/err.h"

enum result_better {
    RESULT_LOWER,  /* ns, cycles, instructions, bytes */
    RESULT_HIGHER, /* Gbit/s, ratios to a rival */
    RESULT_NEITHER /* says something about the run, not how good it is */
};

/* What `fzbench diff` makes of a row. */
enum result_gate {
    GATE_NONE, /* shown; noise can move it, so it fails nothing unless --max-regress says so */
    GATE_INSTRUCTIONS, /* a count: fails above +2 % */
    GATE_SYSCALLS,     /* a count: fails above +10 % */
    GATE_ZERO          /* must be 0 */
};

struct result_row {
    char *name; /* unique in its result */
    char *unit; /* "cycles/packet", "Gbit/s", "x", ... */
    enum result_better better;
    enum result_gate gate;
    char *note; /* what a reader must know of it; NULL: nothing */
    double *samples;
    size_t n, capacity;
};

struct result {
    char *command; /* "micro", "pipeline", "net" */
    char *version; /* of the program: `git describe` or the release, may be empty */
    char *machine; /* CPU model, number of CPUs, kernel */
    char *date;    /* UTC, ISO 8601 */
    struct result_row *rows;
    size_t n, capacity;
};

/* An empty result of this machine and moment. Out of memory is fatal, here and below. */
void result_init(struct result *r, const char *command);
void result_fini(struct result *r);

/*
 * Appends a sample to the row `name`, which is made when it is new; later calls' other arguments must agree. Texts are
 * UTF-8 of at most 255 bytes without control characters, samples finite and within 1e18; at most 10,000 rows.
 */
void result_add(struct result *r, const char *name, const char *unit, enum result_better better,
                enum result_gate gate, double sample);
/* Gives the row `name`, which there is, a text as above in place of any other. */
void result_note(struct result *r, const char *name, const char *note);
/* Valid until the next result_add. NULL: there is none. */
const struct result_row *result_find(const struct result *r, const char *name);

/* Of the samples; 0 for none. min, median and max are what tables show. */
double result_median(const struct result_row *row);
double result_min(const struct result_row *row);
double result_max(const struct result_row *row);
/* From min to max they have values in common, so a difference of the medians may be chance. */
bool result_overlap(const struct result_row *a, const struct result_row *b);

/* name, median, spread, unit, note; rows in the order they were added. */
void result_print(const struct result *r, FILE *out);

/* Whole or not at all, as bench/save.h says. `why`: one clear sentence. */
enum err result_save(const struct result *r, const char *path, char *why, size_t why_size) MUST_USE;
/* Strict about what it needs, tolerant of unknown members. `r` is initialised on success only; every row has samples. */
enum err result_load(struct result *r, const char *path, char *why, size_t why_size) MUST_USE;
/* The same from memory; `name` is what messages call it. */
enum err result_parse(struct result *r, const char *name, const char *text, size_t len, char *why,
                      size_t why_size) MUST_USE;

#endif
