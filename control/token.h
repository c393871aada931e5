/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token this machine signs in with: from the environment, from a credential of the service manager, from a file; and into
 * the file. It is in no message. Control thread. Source: spec/platform.md 6.1.
 */
#ifndef FZ_CONTROL_TOKEN_H
#define FZ_CONTROL_TOKEN_H

#include "platform/secret.h"

#define TOKEN_VARIABLE "FIREZONE_TOKEN" /* of the environment, and the name of the credential */

enum {
    TOKEN_MAX = 8 << 10 /* it travels in a header */
};

/*
 * Takes the variable out of the environment; before any thread exists. out->text NULL: it is not set. On failure `why` is one
 * clear sentence, as below.
 */
enum err token_take_variable(struct secret *out, char *why, unsigned why_size) MUST_USE;

/* The credential. ERR_NOT_FOUND: there is none. */
enum err token_load_credential(struct secret *out, char *why, unsigned why_size) MUST_USE;

/* The file; path NULL, as nobody has named one: the credential, else the well-known file. */
enum err token_load(struct secret *out, const char *path, char *why, unsigned why_size) MUST_USE;

/* Makes a text what a token must be: cleaned, not empty. what: where it comes from. */
enum err token_check(struct secret *token, const char *what, char *why, unsigned why_size) MUST_USE;

/* Writes the file, for the administrator alone, and the folders above it. */
enum err token_store(const struct secret *token, const char *path, char *why,
                     unsigned why_size) MUST_USE;

#endif
