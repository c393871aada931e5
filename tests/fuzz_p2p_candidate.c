/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of candidate lines: what is read is the same after it was written and read again. Input: a line. */
#include "control/p2p/candidate.h"

#include "platform/base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = (const char *)data;
    char again[CANDIDATE_LINE_MAX];
    struct candidate_line a, b;
    size_t len;

    if (candidate_parse(&a, line, size) != ERR_OK)
        return 0;
    ASSERT(size <= CANDIDATE_LINE_INPUT_MAX);
    ASSERT(candidate_addr_ok(&a.candidate.addr));
    ASSERT(sock_addr_equal(&a.candidate.base, &a.candidate.addr));
    if (a.ufrag)
        ASSERT(a.ufrag_len > 0 && a.ufrag >= line && a.ufrag + a.ufrag_len <= line + size);
    if (a.candidate.transport != CANDIDATE_UDP)
        return 0;
    len = candidate_format(&a.candidate, "ufrag", again);
    ASSERT(len > 0 && len < sizeof again && again[len] == '\0');
    ASSERT(candidate_parse(&b, again, len) == ERR_OK);
    ASSERT(candidate_equal(&a.candidate, &b.candidate));
    ASSERT(a.candidate.priority == b.candidate.priority);
    ASSERT(b.ufrag_len == 5 && memcmp(b.ufrag, "ufrag", 5) == 0);
    return 0;
}
