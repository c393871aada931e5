/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of the link: a TUN device in a network namespace. It goes with the process, however that ends, and with it its addresses
 * and routes. The main thread only, which visits the namespace to make the device there and returns.
 */
#ifndef FZ_TOOLS_FZLINK_END_H
#define FZ_TOOLS_FZLINK_END_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/linux/why.h"
#include "platform/tun.h"

enum {
    END_ADDRS_MAX = 8,
    END_NETNS_MAX = 128,
    END_MTU_MIN = 576,
    END_MTU_MAX = 9216
};

struct end_config {
    char netns[END_NETNS_MAX]; /* a name, a process id, or a path with a slash */
    char device[TUN_NAME_MAX];
    struct ip_prefix addrs[END_ADDRS_MAX];
    unsigned addrs_n;
};

/* The device, which two threads use: one reads, one writes. */
struct end;

/* NETNS:DEVICE:ADDR[,ADDR]... ERR_PARSE: `why` is one clear sentence. Touches nothing. */
enum err end_parse(struct end_config *out, const char *text, struct why why) MUST_USE;

/* offloads: segmentation offloads, so that TCP and UDP come and go in frames of many packets. */
enum err end_open(struct end **out, const struct end_config *config, unsigned mtu, bool offloads,
                  struct why why) MUST_USE;
void end_close(struct end *e);

int end_fd(const struct end *e);
/* enum tun_offload bits that the kernel offers. */
unsigned end_offloads(const struct end *e);
/* Packets that its namespace sent and the kernel dropped, since fzlink did not read them in time. */
uint64_t end_overruns(struct end *e);

#endif
