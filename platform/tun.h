/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TUN contract: a layer-3 device with one queue per worker, virtio headers and segmentation offloads.
 *
 * Opened and closed by control; each queue's descriptor is then used by one worker through platform/io.h.
 * Steering maps the inner destination to the queue of the peer's owner; where the kernel refuses the program there
 * is exactly one queue (never the kernel's learned steering: it moves flows between queues and reorders them).
 */
#ifndef FZ_PLATFORM_TUN_H
#define FZ_PLATFORM_TUN_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    TUN_NAME_MAX = 16
};

enum tun_offload {
    TUN_OFFLOAD_TCP = 1,
    TUN_OFFLOAD_UDP = 2
};

struct tun_config {
    const char *name;  /* "" or NULL: the kernel picks tunN */
    unsigned queues;   /* wanted; fewer (1) if steering is not possible */
    unsigned offloads; /* enum tun_offload bits permitted; probed step by step */
    bool steering;     /* false: one queue, as if the kernel had refused the program (tests) */
};

struct tun;

/*
 * Creates the device. ERR_IN_USE: a device of that name is held by another process. ERR_PERMISSION,
 * ERR_NOT_FOUND (/dev/net/tun), ERR_INVALID (bad name): `why` then holds one clear sentence that says what to do.
 */
enum err tun_open(struct tun **out, const struct tun_config *config, char *why,
                  unsigned why_size) MUST_USE;
/* ERR_IN_USE: there is a device of that name, as tun_open would say; it is waited for one that is just going. */
enum err tun_name_free(const char *name, char *why, unsigned why_size) MUST_USE;
/* Closes all queues; the kernel removes the device. */
void tun_free(struct tun *t);

int tun_fd(const struct tun *t, unsigned queue);
unsigned tun_queues(const struct tun *t);
const char *tun_name(const struct tun *t);
uint32_t tun_ifindex(const struct tun *t);
/* One packet for the host, besides what the workers write. Control. ERR_AGAIN: the queue is full; ERR_IO. */
enum err tun_write(struct tun *t, const uint8_t *packet, size_t len) MUST_USE;
/* enum tun_offload bits that the kernel accepted. */
unsigned tun_offloads(const struct tun *t);
bool tun_steered(const struct tun *t);

/*
 * Steering map, control thread only. Longest prefix wins; a packet without an entry goes to queue 0.
 * ERR_FULL when the map (65,536 prefixes) is full: such packets are handed to their owner by rings.
 */
enum err tun_steer_set(struct tun *t, const struct ip_prefix *prefix, unsigned queue) MUST_USE;
enum err tun_steer_clear(struct tun *t, const struct ip_prefix *prefix) MUST_USE;

#endif
