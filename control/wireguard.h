/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `wireguard` command: a tunnel from a wg-quick style file, without a portal, from the start to the signal that ends it.
 * Control thread.
 */
#ifndef FZ_CONTROL_WIREGUARD_H
#define FZ_CONTROL_WIREGUARD_H

struct options;

/* Runs, or only checks the file. Returns the exit code; a failure has been reported. */
int wireguard_main(const struct options *o);

#endif
