/* SPDX-License-Identifier: Apache-2.0 */
/* What runs without a command: the client as a member (member_main.h). Control thread; no other exists yet but that of the log. */
#ifndef FZ_CONTROL_STANDALONE_H
#define FZ_CONTROL_STANDALONE_H

struct options;
struct secret;

/* token: from the environment, or none. Returns the exit code; a failure has been reported. */
int standalone_main(const struct options *o, struct secret *token);

#endif
