/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands `sign-in` and `sign-out`: a person gets a token from a web page and it is stored, or it is removed. A client
 * that runs notices neither. Control thread. Source: spec/platform.md 6.2.
 */
#ifndef FZ_CONTROL_SIGN_H
#define FZ_CONTROL_SIGN_H

struct options;

/* Both return the exit code; a failure has been reported. */
int sign_in_main(const struct options *o);
int sign_out_main(const struct options *o);

#endif
