/* SPDX-License-Identifier: Apache-2.0 */
/* Names of verdicts and tallies. */
#include "engine/counters.h"

const char *verdict_name(enum verdict v)
{
    static const char *const names[VERDICT_N] = {
#define X(name, text) text,
        VERDICT_LIST(X)
#undef X
    };
    return names[v];
}

const char *tally_name(enum tally t)
{
    static const char *const names[TALLY_N] = {
#define X(name, text) text,
        TALLY_LIST(X)
#undef X
    };
    return names[t];
}
