/* SPDX-License-Identifier: Apache-2.0 */
/* How long a simulation goes on. */
#ifndef FZ_TESTS_SUPPORT_SIM_SECONDS_H
#define FZ_TESTS_SUPPORT_SIM_SECONDS_H

#include <stdlib.h>

/* Seconds of processor time: as many as it wants, unless $SIM_SECONDS says less. */
static inline unsigned sim_seconds(unsigned wanted)
{
    const char *text = getenv("SIM_SECONDS");
    unsigned long most = text ? strtoul(text, NULL, 10) : wanted;

    return most < wanted ? (unsigned)most : wanted;
}

#endif
