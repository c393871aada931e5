/* SPDX-License-Identifier: Apache-2.0 */
/* How long the machine has been suspended since it started, all times together. Any thread. */
#ifndef FZ_WINDOWS_SUSPEND_H
#define FZ_WINDOWS_SUSPEND_H

#include "platform/base/time.h"

/* To about 20 ms. */
time_ns suspend_total(void);

#endif
