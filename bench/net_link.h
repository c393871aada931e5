/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An emulated link (tools/fzlink) in place of the veth pair: a process that carries packets between the two namespaces of a rig, with
 * half the round trip's time each way and losses both ways. Inside the cage only.
 */
#ifndef FZ_BENCH_NET_LINK_H
#define FZ_BENCH_NET_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/net_options.h"
#include "bench/result.h"
#include "platform/linux/why.h"

/* Where fzlink is: beside fzbench. Outside the cage. */
enum err net_link_find(char *path, size_t size, struct why why) MUST_USE;

/* What is started: at each end a namespace (a descriptor of process 1), a device and its address. */
struct net_link_config {
    const char *path; /* of fzlink */
    const struct net_link_setting *setting;
    bool offloads;
    int ns[2];
    const char *devices[2], *prefixes[2];
};

/* Returns the process id once packets pass; -1 and `why` if that failed. */
pid_t net_link_start(const struct net_link_config *config, struct why why);
/* It still runs. */
enum err net_link_check(pid_t pid, struct why why) MUST_USE;
/* Ignores pids below 1. */
void net_link_stop(pid_t pid);

/*
 * Packets that the link which was started last has dropped of its own accord, beside the losses that it was told to make: what it
 * could not read, hold or write.
 */
enum err net_link_drops(uint64_t *n, const char *path, struct why why) MUST_USE;
/* Notes them, if there are any, on all rows of that part and that setting. After other notes, which stay. */
void net_link_mark(struct result *r, const char *part, const char *setting, uint64_t drops);

/* What a link without impairment carries here, of full packets, the lower of UDP and TCP, in Gbit/s. Takes seconds. */
enum err net_link_ceiling(double *gbit, const char *path, bool offloads, struct why why) MUST_USE;
/* What it carries at most with that setting: its delay holds a limited number of packets. packet_bytes: of one. */
double net_link_limit(double measured_gbit, const struct net_link_setting *setting,
                      unsigned packet_bytes);

#endif
