/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says to whoever started it: its output, its one line of failure, its exit code. Control thread. */
#ifndef FZ_CONTROL_REPORT_H
#define FZ_CONTROL_REPORT_H

extern const char report_program[]; /* its name; defined where main() is */

enum {
    REPORT_WHY_MAX = 1024,
    EXIT_USAGE = 2,
    EXIT_TOKEN_REJECTED = 77 /* so that a service manager does not start it again */
};

/* One line on stderr, after the program's name. Returns EXIT_FAILURE. */
int report_failure(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Text on stdout, as it is. Returns EXIT_SUCCESS, or EXIT_FAILURE after a line on stderr. */
int report_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
