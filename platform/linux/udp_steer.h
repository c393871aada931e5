/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which socket of a SO_REUSEPORT group gets a datagram: a classic BPF program over its payload.
 *
 * The kernel runs the program with the payload at offset 0 and takes the result as the number of the socket, counted
 * in the order in which the sockets joined the group; a result that is no such number means "use the 4-tuple".
 * A receive that the kernel has coalesced (GRO) is steered whole, by its first datagram. Control thread.
 */
#ifndef FZ_LINUX_UDP_STEER_H
#define FZ_LINUX_UDP_STEER_H

/*
 * Installs the program for the group `fd` belongs to. gate: the number of the socket that gets all handshake messages
 * (initiation, response, cookie reply), or a negative number: responses and cookie replies go to the owner of their index,
 * initiations by the 4-tuple. Returns 0 or a positive errno.
 */
int udp_steer_attach(int fd, int gate);

#endif
