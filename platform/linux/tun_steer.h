/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which queue of the TUN gets a packet: an eBPF program that looks the inner destination up in two longest-prefix
 * maps. Needs CAP_BPF (or CAP_SYS_ADMIN) besides CAP_NET_ADMIN. Control thread.
 *
 * The program sees addresses only, so that all fragments of a packet take the same way.
 */
#ifndef FZ_LINUX_TUN_STEER_H
#define FZ_LINUX_TUN_STEER_H

#include <stdint.h>

#include "platform/base/addr.h"

enum {
    TUN_STEER_PREFIXES_MAX = 65536 /* per family */
};

struct tun_steer {
    int map_v4, map_v6, program; /* descriptors, -1: closed */
};

/* All return 0 or a positive errno. */

/* Makes maps and program. On error nothing stays open. */
int tun_steer_open(struct tun_steer *s);
void tun_steer_close(struct tun_steer *s);
/* Puts the program in charge of the device that `fd` is a queue of. */
int tun_steer_attach(const struct tun_steer *s, int fd);
/* Host bits of the prefix are ignored. ENOSPC: the family's map is full. */
int tun_steer_put(const struct tun_steer *s, const struct ip_prefix *prefix, uint32_t queue);
/* ENOENT: there is no such entry. */
int tun_steer_drop(const struct tun_steer *s, const struct ip_prefix *prefix);

#endif
