/* SPDX-License-Identifier: Apache-2.0 */
/* Entropy contract: the kernel's generator. Any thread; aborts if the system has none. */
#ifndef FZ_PLATFORM_RANDOM_H
#define FZ_PLATFORM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t n);
uint32_t random_u32(void);

#endif
