/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instruction counts where the machine has no CPU counters: the program runs itself once more under callgrind, which
 * collects between count_begin and count_end only (count.h). What valgrind does not know, AVX-512 among it, the program
 * does not use there.
 */
#ifndef FZ_BENCH_CALLGRIND_H
#define FZ_BENCH_CALLGRIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * args: what follows the program's name, ended by NULL. On success the instructions collected, and the first line that
 * the program wrote to its standard output. False: `why` says what to do.
 */
bool callgrind_run(const char *const *args, uint64_t *instructions, char *line, size_t line_size,
                   char *why, size_t why_size);

#endif
