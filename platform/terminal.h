/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminal contract: what a person, or a script in his place, types. Blocks; control thread, before there are others.
 */
#ifndef FZ_PLATFORM_TERMINAL_H
#define FZ_PLATFORM_TERMINAL_H

#include <stdbool.h>

#include "platform/base/err.h"
#include "platform/secret.h"

/* Whether a person is there to read and answer: the standard input is a terminal. */
bool terminal_has_person(void);

/*
 * From a person: one line of the controlling terminal, after `prompt`, without showing it; a signal meanwhile does what it
 * always does, once the terminal is as it was. Else the whole standard input. ERR_NO_SPACE: more than `max` bytes, or more than a
 * terminal keeps of a line. ERR_INVALID: more than one line. On failure `why` is one clear phrase.
 */
enum err terminal_read_secret(struct secret *out, size_t max, const char *prompt, char *why,
                              unsigned why_size) MUST_USE;

/* One line of the standard input after `prompt`, cut where it does not fit; "" at its end. */
void terminal_ask(char *out, unsigned size, const char *prompt);

#endif
