/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How both programs begin and end: what may be done only before there are threads, the options, the token of the environment, and the
 * log, which is on stdout for a run and on stderr for all else. Control thread.
 */
#ifndef FZ_CONTROL_PROGRAM_H
#define FZ_CONTROL_PROGRAM_H

#include "control/options.h"
#include "platform/secret.h"

struct program {
    struct options options;
    struct secret token; /* of the environment, and only for a run; text NULL: none */
    struct log_file *log_file;
};

/* Returns EXIT_SUCCESS, or the exit code after a failure, which has been reported. program_end follows in any case. */
int program_begin(struct program *p, enum options_program which, int argc, char **argv);
void program_end(struct program *p);

#endif
