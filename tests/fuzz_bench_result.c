/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a result. What is accepted is within bounds, comes back the same and can be reported; what is refused
 * says why.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report_page.h"
#include "bench/result.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_row(const struct result *r, const struct result_row *row)
{
    double median = result_median(row), min = result_min(row), max = result_max(row);

    ASSERT(row->name[0] && strlen(row->name) <= TEXT_MAX && !has_control(row->name));
    ASSERT(result_find(r, row->name) == row);
    ASSERT(row->n > 0 && min <= median && median <= max);
    ASSERT(min >= -sample_limit && max <= sample_limit);
}

/* Twice, once without its rows. */
static void check_page(const struct result *r)
{
    struct report_run runs[] = {{.path = "a", .result = *r}, {.path = "<b>", .result = *r}};
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    ASSERT(out);
    runs[0].result.n = 0;
    report_page_write(out, runs, ARRAY_LEN(runs));
    ASSERT(fclose(out) == 0 && !strstr(text, "<b>"));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct result a, b;
    char why[300] = "";

    if (result_parse(&a, "f", (const char *)data, size, why, sizeof why) != ERR_OK) {
        ASSERT(strncmp(why, "f: ", 3) == 0 && why[3] && !has_control(why));
        return 0;
    }
    for (size_t i = 0; i < a.n; i++)
        check_row(&a, &a.rows[i]);
    check_page(&a);
    char *first = result_to_text(&a);
    ASSERT(result_parse(&b, "f", first, strlen(first), why, sizeof why) == ERR_OK);
    char *second = result_to_text(&b);
    ASSERT(strcmp(first, second) == 0);
    free(first);
    free(second);
    result_fini(&a);
    result_fini(&b);
    return 0;
}
