/* SPDX-License-Identifier: Apache-2.0 */
/* The TUN device: creation, queues, offloads, and the sentences for what can go wrong. */
#include "platform/tun.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/time.h"
#include "platform/linux/netlink.h"
#include "platform/linux/tun_steer.h"
#include "platform/linux/why.h"
#include "platform/process.h"

#define MODULE   "tun"
#define TUN_PATH "/dev/net/tun"

/* Linux 6.2 */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
    QUEUES_MAX = 256, /* the kernel's limit */
    BUSY_TRIES = 40,  /* that is, a second */
    BUSY_WAIT_MS = 25,
    TUN_MAJOR = 10,
    TUN_MINOR = 200
};
_Static_assert(TUN_NAME_MAX == IFNAMSIZ, "a name is what the kernel takes");

struct tun {
    int fds[QUEUES_MAX];
    unsigned queues;
    unsigned offloads;
    uint32_t ifindex;
    bool steered;
    char name[TUN_NAME_MAX];
    struct tun_steer steer;
};

/* The kernel's rule, and no '%': that would be a template for it to fill in. */
static bool name_ok(const char *name)
{
    if (strlen(name) >= TUN_NAME_MAX || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (const char *p = name; *p; p++) {
        if (*p == '/' || *p == ':' || *p == '%' || !isgraph((unsigned char)*p))
            return false;
    }
    return true;
}

/* Minimal root file systems come without the node; where it cannot be made, opening it says why. */
static void make_node(void)
{
    if (access(TUN_PATH, F_OK) == 0)
        return;
    if (mkdir("/dev/net", 0751) != 0 && errno != EEXIST)
        return;
    if (mknod(TUN_PATH, S_IFCHR | 0666, makedev(TUN_MAJOR, TUN_MINOR)) != 0)
        log_debug(MODULE, "cannot make " TUN_PATH ": %s", strerror(errno));
}

static enum err open_failed(struct why why, int e)
{
    switch (e) {
    case ENOENT:
        return why_fail(why, ERR_NOT_FOUND,
                        TUN_PATH " does not exist; create it (mknod " TUN_PATH
                                 " c 10 200) or pass the "
                                 "device into the container");
    case ENODEV:
    case ENXIO:
        return why_fail(why, ERR_NOT_FOUND,
                        "the kernel has no TUN driver; load it with: modprobe tun");
    case EPERM:
    case EACCES:
        if (process_may_configure_network())
            return why_fail(why, ERR_PERMISSION,
                            "this user may not open " TUN_PATH "; run: chmod 666 " TUN_PATH
                            " (who may create devices is up to the kernel)");
        return why_fail(why, ERR_PERMISSION,
                        "no permission to open " TUN_PATH "; run as root or with CAP_NET_ADMIN");
    default:
        return why_fail(why, err_from_errno(e), "cannot open " TUN_PATH ": %s", strerror(e));
    }
}

static enum err create_failed(struct why why, const char *name, int e)
{
    switch (e) {
    case EBUSY:
        return why_fail(
            why, ERR_IN_USE,
            "network interface %s already exists and belongs to another program; choose "
            "another name or stop it",
            name);
    case EPERM:
    case EACCES:
        return why_fail(why, ERR_PERMISSION,
                        "no permission to create a TUN device; run as root or with CAP_NET_ADMIN");
    default:
        return why_fail(why, err_from_errno(e), "cannot create TUN device %s: %s", name,
                        strerror(e));
    }
}

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = BUSY_WAIT_MS * (long)NS_PER_MS}, NULL);
}

enum err tun_name_free(const char *name, char *why, unsigned why_size)
{
    for (unsigned i = 0; if_nametoindex(name) != 0; i++) {
        if (i == BUSY_TRIES)
            return create_failed((struct why){why, why_size}, name, EBUSY);
        wait_a_moment();
    }
    return ERR_OK;
}

/* What a killed process had in its io_uring the kernel closes a moment after its end. */
static int create_device(int fd, struct ifreq *ifr)
{
    for (unsigned i = 0; ioctl(fd, TUNSETIFF, ifr) != 0; i++) {
        if (errno != EBUSY || i == BUSY_TRIES)
            return errno;
        wait_a_moment();
    }
    return 0;
}

/*
 * Opens one more queue. The first one creates the device, exclusively. The structure is the full one: the kernel
 * copies all of it back.
 */
static enum err open_queue(struct tun *t, short flags, struct why why)
{
    struct ifreq ifr;
    int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return open_failed(why, errno);

    memset(&ifr, 0, sizeof ifr);
    memcpy(ifr.ifr_name, t->name, sizeof ifr.ifr_name);
    ifr.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | flags);
    if (t->queues == 0)
        ifr.ifr_flags |= (short)IFF_TUN_EXCL;
    int e = create_device(fd, &ifr);
    if (e != 0) {
        close(fd);
        return create_failed(why, t->name[0] ? t->name : "tun", e);
    }
    memcpy(t->name, ifr.ifr_name, sizeof t->name);
    t->fds[t->queues++] = fd;
    return ERR_OK;
}

static void close_queues(struct tun *t)
{
    while (t->queues > 0)
        close(t->fds[--t->queues]);
}

/*
 * Several queues and the steering program, or neither: without the program the kernel learns which flow belongs to
 * which queue, moves flows between queues, and so reorders them. Returns ERR_UNSUPPORTED if this machine cannot.
 */
static enum err open_steered(struct tun *t, unsigned queues, struct why why)
{
    char name[TUN_NAME_MAX];
    int e = tun_steer_open(&t->steer);
    enum err err;

    if (e != 0) {
        log_info(MODULE, "TUN steering is not available (%s): one queue serves all workers",
                 strerror(e));
        return ERR_UNSUPPORTED;
    }
    memcpy(name, t->name, sizeof name);
    if ((err = open_queue(t, IFF_MULTI_QUEUE, why)) != ERR_OK)
        goto out;
    if ((e = tun_steer_attach(&t->steer, t->fds[0])) != 0) {
        log_info(MODULE,
                 "the TUN driver takes no steering program (%s): one queue serves all workers",
                 strerror(e));
        err = ERR_UNSUPPORTED;
        goto out;
    }
    while (err == ERR_OK && t->queues < queues)
        err = open_queue(t, IFF_MULTI_QUEUE, why);
out:
    t->steered = err == ERR_OK;
    if (err != ERR_OK) {
        close_queues(t);
        tun_steer_close(&t->steer);
        memcpy(t->name, name, sizeof name);
    }
    return err;
}

/* The best of what is permitted and what the kernel accepts; the request is its own probe, all or nothing. */
static void set_offloads(struct tun *t, unsigned permitted)
{
    static const unsigned steps[] = {TUN_OFFLOAD_TCP | TUN_OFFLOAD_UDP, TUN_OFFLOAD_TCP,
                                     TUN_OFFLOAD_UDP, 0};
    unsigned best = permitted & (TUN_OFFLOAD_TCP | TUN_OFFLOAD_UDP);

    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        if ((steps[i] & ~best) != 0)
            continue;
        unsigned flags = steps[i] ? TUN_F_CSUM : 0;
        if (steps[i] & TUN_OFFLOAD_TCP)
            flags |= TUN_F_TSO4 | TUN_F_TSO6;
        if (steps[i] & TUN_OFFLOAD_UDP)
            flags |= TUN_F_USO4 | TUN_F_USO6;
        if (ioctl(t->fds[0], TUNSETOFFLOAD, (unsigned long)flags) == 0) {
            t->offloads = steps[i];
            break;
        }
    }
    if (t->offloads != best)
        log_info(MODULE, "this kernel offers %s segmentation offload for TUN devices",
                 t->offloads == TUN_OFFLOAD_TCP   ? "only TCP"
                 : t->offloads == TUN_OFFLOAD_UDP ? "only UDP"
                                                  : "no");
}

/* Router solicitations would wake an idle tunnel every few minutes. */
static void stop_link_local(const struct tun *t)
{
    struct netlink n;
    if (netlink_open(&n) != ERR_OK)
        return;
    int e = netlink_no_link_local(&n, t->ifindex);
    if (e != 0)
        log_debug(MODULE, "%s: link-local address generation stays on: %s", t->name,
                  netlink_text(&n, e));
    netlink_close(&n);
}

enum err tun_open(struct tun **out, const struct tun_config *config, char *why_text,
                  unsigned why_size)
{
    struct why why = {.text = why_text, .size = why_size};
    const char *name = config->name ? config->name : "";
    enum err e = ERR_UNSUPPORTED;

    *out = NULL;
    if (!name_ok(name))
        return why_fail(
            why, ERR_INVALID,
            "\"%.64s\" is no valid interface name (1 to 15 characters, no space, '/', ':' "
            "or '%%')",
            name);
    if (config->queues == 0 || config->queues > QUEUES_MAX)
        return why_fail(why, ERR_INVALID, "a TUN device with %u queues is not possible",
                        config->queues);
    struct tun *t = calloc(1, sizeof *t);
    if (!t)
        return why_fail(why, ERR_NO_MEMORY, "out of memory");
    memcpy(t->name, name, strlen(name) + 1);
    t->steer = (struct tun_steer){.map_v4 = -1, .map_v6 = -1, .program = -1};
    make_node();
    if (config->steering && config->queues > 1)
        e = open_steered(t, config->queues, why);
    if (e == ERR_UNSUPPORTED)
        e = open_queue(t, 0, why);
    if (e != ERR_OK) {
        tun_free(t);
        return e;
    }
    t->ifindex = if_nametoindex(t->name);
    set_offloads(t, config->offloads);
    stop_link_local(t);
    *out = t;
    return ERR_OK;
}

void tun_free(struct tun *t)
{
    if (!t)
        return;
    close_queues(t);
    tun_steer_close(&t->steer);
    free(t);
}

int tun_fd(const struct tun *t, unsigned queue)
{
    ASSERT(queue < t->queues);
    return t->fds[queue];
}

unsigned tun_queues(const struct tun *t)
{
    return t->queues;
}

const char *tun_name(const struct tun *t)
{
    return t->name;
}

uint32_t tun_ifindex(const struct tun *t)
{
    return t->ifindex;
}

enum err tun_write(struct tun *t, const uint8_t *packet, size_t len)
{
    static const struct virtio_net_hdr plain = {.flags = 0};
    const struct iovec iov[] = {{(void *)(uintptr_t)&plain, sizeof plain},
                                {(void *)(uintptr_t)packet, len}};

    if (writev(t->fds[0], iov, 2) >= 0)
        return ERR_OK;
    return errno == EAGAIN ? ERR_AGAIN : ERR_IO;
}

unsigned tun_offloads(const struct tun *t)
{
    return t->offloads;
}

bool tun_steered(const struct tun *t)
{
    return t->steered;
}

static bool prefix_ok(const struct ip_prefix *prefix)
{
    return (prefix->ip.family == ADDR_V4 || prefix->ip.family == ADDR_V6) &&
           prefix->len <= ip_addr_bits(&prefix->ip);
}

enum err tun_steer_set(struct tun *t, const struct ip_prefix *prefix, unsigned queue)
{
    if (!prefix_ok(prefix))
        return ERR_INVALID;
    if (!t->steered)
        return ERR_OK; /* the one queue gets it anyway */
    if (queue >= t->queues)
        return ERR_INVALID;
    int e = tun_steer_put(&t->steer, prefix, queue);
    return e == ENOSPC ? ERR_FULL : err_from_errno(e);
}

enum err tun_steer_clear(struct tun *t, const struct ip_prefix *prefix)
{
    if (!prefix_ok(prefix))
        return ERR_INVALID;
    if (!t->steered)
        return ERR_OK;
    return err_from_errno(tun_steer_drop(&t->steer, prefix));
}
