/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of what a refused upgrade says. Whatever it is, the texts are short and printable and the delay is bounded.
 * Input: the value of Retry-After, a line feed, the body.
 */
#include "control/portal/problem.h"

#include <string.h>

#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text, size_t max)
{
    ASSERT(strlen(text) <= max);
    for (; *text; text++)
        ASSERT(*text >= ' ' && *text <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    char retry_after[128], text[512];
    struct problem p;

    if (!end || (size_t)(end - data) >= sizeof retry_after)
        return 0;
    memcpy(retry_after, data, (size_t)(end - data));
    retry_after[end - data] = 0;
    problem_parse(&p, 401, retry_after, 784111777, (const char *)end + 1,
                  size - (size_t)(end - data) - 1);
    check_printable(p.code, PROBLEM_CODE_MAX);
    check_printable(p.detail, PROBLEM_DETAIL_MAX);
    ASSERT(p.retry_after_ns == TIME_NEVER || p.retry_after_ns <= 86400 * NS_PER_SEC);
    problem_text(&p, text, sizeof text);
    ASSERT(problem_class(&p) != PROBLEM_RETRY);
    return 0;
}
