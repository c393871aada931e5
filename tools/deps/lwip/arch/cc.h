/* SPDX-License-Identifier: Apache-2.0 */
/* The compiler and system as lwIP sees them. */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#include <limits.h>

#ifndef SSIZE_MAX
#define SSIZE_MAX LONG_MAX
#endif

/* platform/base/err.h */
void assert_failed(const char *cond, const char *file, int line) __attribute__((noreturn, cold));

#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(x) assert_failed(x, "lwIP " __FILE__, __LINE__)

#endif
