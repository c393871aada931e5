/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cage for processes: namespaces of process ids, mounts and, later, networks, that the kernel takes away as a whole
 * when the first process in them ends. So nothing is left behind, whichever way the program ends: processes are
 * killed, network namespaces go with them, and files in NET_CAGE_DIR are in memory that only the cage sees. So are the notes that our
 * programs leave for those that come after a crash: who reads them outside would take process ids and networks for its own.
 *
 * The caller's process stays outside and waits. SIGINT, SIGTERM and SIGHUP end what is inside; when the waiting process
 * is killed, the kernel ends it.
 */
#ifndef FZ_BENCH_NET_CAGE_H
#define FZ_BENCH_NET_CAGE_H

/* Empty at first, in memory. It is where the sockets of userspace WireGuard are: hence none of the host's is seen. */
#define NET_CAGE_DIR "/var/run/wireguard"

/*
 * Runs body(arg) inside, as process 1, and returns its exit code; 128 + N after signal N, and 1 with a message on
 * stderr if there can be no cage. To be called before the process starts threads.
 */
int net_cage_run(int (*body)(void *arg), void *arg);

#endif
