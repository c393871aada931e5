/* SPDX-License-Identifier: Apache-2.0 */
/* The tick count goes on while the machine is suspended, the unbiased interrupt time does not. */
#include "platform/windows/suspend.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

enum {
    ATTEMPTS = 3,
    NS_PER_STEP = 100, /* of the interrupt time */
    TOGETHER_MS = 100
};

time_ns suspend_total(void)
{
    ULONGLONG unbiased = 0, ticks = 0;

    /* An interruption between the readings would look like a short suspend: they are taken again. */
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        ULONGLONG before = GetTickCount64();
        QueryUnbiasedInterruptTime(&unbiased);
        ticks = GetTickCount64();
        if (ticks - before < TOGETHER_MS)
            break;
    }
    return time_since(ticks * NS_PER_MS, unbiased * NS_PER_STEP);
}
