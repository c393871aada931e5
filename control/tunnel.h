/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain WireGuard tunnel: the TUN device, the sockets, the engine and the peers' handshakes, driven by one event
 * loop. This is what `firezone-headless-client wireguard` runs. Control role; one per process.
 */
#ifndef FZ_CONTROL_TUNNEL_H
#define FZ_CONTROL_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "control/config.h"
#include "control/device.h"
#include "engine/engine.h"
#include "platform/base/err.h"
#include "platform/io.h"
#include "platform/loop.h"

struct tunnel;
struct tunnel_p2p_events;

struct tunnel_options {
    const char *tun_name; /* "" or NULL: chosen by the kernel */
    unsigned workers;     /* 0: one per usable CPU */
    enum io_backend io;
    int crypto;  /* enum crypt_backend */
    int helpers; /* enum engine_helpers */
    bool
        source_resolve; /* --source-ip resolve: explicit source and interface instead of trusting the mark */
    bool steering;                           /* false: as if the kernel refused the BPF programs */
    bool offloads;                           /* false: no TUN and UDP segmentation offloads */
    uint32_t udp_send_bytes, udp_recv_bytes; /* of socket buffers; 0: the default */
    /* Somebody has deleted the TUN device: nothing passes any more. May not free the tunnel. NULL: nobody wants to know. */
    void (*gone)(void *arg);
    void *gone_arg;
    /* From the loop: the host's configuration has failed, and traffic may take other ways than it should. May not free the tunnel. */
    void (*failed)(void *arg, const char *why);
    void *failed_arg;
    /* From the loop: no endpoint's name waits for its addresses any more. May be called again after tunnel_apply_give. NULL: nobody. */
    void (*named)(void *arg);
    void *named_arg;
    /* Not NULL: the peers' paths are found by others (tunnel_p2p.h), and the tunnel is Firezone's: no padding, ports, routes. */
    const struct tunnel_p2p_events *p2p;
    bool guarded; /* with p2p: routes_product_guard */
    enum engine_role role;
    void *p2p_arg;
};

/*
 * Brings everything up: sockets, TUN, addresses, MTU, routes, rules, peers. On failure nothing is left on the
 * host and `why` holds one clear sentence. The configuration is borrowed for the call only.
 */
enum err tunnel_new(struct tunnel **out, struct loop *loop, const struct config *config,
                    const struct tunnel_options *options, char *why, unsigned why_size) MUST_USE;
/* Takes everything down and removes what was added. */
void tunnel_free(struct tunnel *t);

const char *tunnel_name(const struct tunnel *t);
/* The name of an endpoint waits for its addresses: the system has to be asked the way that it is now. */
bool tunnel_names_wait(const struct tunnel *t);
/* One line for the log: name, port, workers, backend, crypto, offloads. */
const char *tunnel_summary(const struct tunnel *t);

/* The update is over. ERR_CLOSED: the tunnel went down before. */
typedef void (*tunnel_applied)(void *arg, enum err err);
/*
 * Applies an update of the userspace API and then calls `done`: before it returns if that takes no time, else later
 * from the loop. Takes what *update holds. Updates come one after the other; tunnel_status shows what is done so far.
 * ERR_IN_USE: the listen port is taken, nothing changed. ERR_FULL: too many peers; those before have been added.
 */
void tunnel_apply_give(struct tunnel *t, struct device_update *update, tunnel_applied done,
                       void *arg);
/* Fills `out` (device_status_fini it). */
void tunnel_status(struct tunnel *t, struct device_status *out);
uint32_t tunnel_ifindex(const struct tunnel *t);
/* Links, addresses, routes or rules of the host have changed: what is known about ways out is forgotten. */
void tunnel_ways_changed(struct tunnel *t);
/* Network change or SIGHUP: new sockets on the same port, source addresses asked anew. */
enum err tunnel_roam(struct tunnel *t) MUST_USE;
/* Another address of the device; where IPv6 is off, one of that family is left out. On failure `why` is one clear sentence. */
enum err tunnel_readdress(struct tunnel *t, const struct ip_prefix *from,
                          const struct ip_prefix *to, char *why, unsigned why_size) MUST_USE;
/* Logs the non-zero counters of all workers at level info (SIGUSR1). */
void tunnel_log_counters(const struct tunnel *t);

#endif
