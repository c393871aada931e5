/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs without a command: everything the client needs is looked for in the order of spec/platform.md 6.4, then it runs.
 * Control thread; no other exists yet.
 */
#ifndef FZ_CONTROL_STANDALONE_H
#define FZ_CONTROL_STANDALONE_H

struct options;
struct secret;

/* token: from the environment, or none. Returns the exit code; a failure has been reported. */
int standalone_main(const struct options *o, struct secret *token);

#endif
