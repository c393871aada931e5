/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WireGuard device as data: what a configuration file or the userspace API asks for (`device_update`) and what
 * the running tunnel reports (`device_status`). Plain values, filled by parsers, read by control/tunnel.
 * Lists are heap arrays owned by the struct; *_fini frees them and wipes keys. Control role.
 */
#ifndef FZ_CONTROL_DEVICE_H
#define FZ_CONTROL_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    DEVICE_KEY_LEN = 32,
    DEVICE_HOST_MAX = 254
};

/* One AllowedIPs entry. remove: the userspace API's "-prefix" form (take it away from this peer). */
struct device_allowed {
    struct ip_prefix prefix;
    bool remove;
};

struct device_peer_update {
    uint8_t public_key[DEVICE_KEY_LEN];
    bool remove;      /* delete the peer */
    bool update_only; /* ignore if the peer does not exist */
    bool replace_allowed;
    bool has_psk, has_endpoint, has_keepalive;
    uint8_t psk[DEVICE_KEY_LEN]; /* all zero: none */
    /* Endpoint: a literal address, or (files only) a name with its port. */
    struct sock_addr endpoint;
    char endpoint_host[DEVICE_HOST_MAX]; /* "" when `endpoint` is set */
    uint16_t endpoint_port;
    uint16_t keepalive_seconds; /* 0: off */
    struct device_allowed *allowed;
    size_t allowed_n;
};

struct device_update {
    bool has_private_key, has_listen_port, has_fwmark, replace_peers;
    uint8_t private_key[DEVICE_KEY_LEN]; /* all zero: remove */
    uint16_t listen_port;                /* 0: any */
    uint32_t fwmark;                     /* 0: none */
    struct device_peer_update *peers;
    size_t peers_n;
};

struct device_peer_status {
    uint8_t public_key[DEVICE_KEY_LEN];
    uint8_t psk[DEVICE_KEY_LEN];
    struct sock_addr endpoint;  /* family ADDR_NONE: unknown */
    uint64_t handshake_seconds; /* wall clock of the last completed handshake; 0: never */
    uint32_t handshake_nanoseconds;
    uint64_t rx_bytes, tx_bytes;
    uint16_t keepalive_seconds;
    struct ip_prefix *allowed;
    size_t allowed_n;
};

struct device_status {
    uint8_t private_key[DEVICE_KEY_LEN];
    uint16_t listen_port;
    uint32_t fwmark;
    struct device_peer_status *peers;
    size_t peers_n;
};

void device_update_init(struct device_update *u);
void device_update_fini(struct device_update *u);
/* Appends a zeroed peer; aborts with a message when memory is exhausted. The pointer is valid until the next append. */
struct device_peer_update *device_update_peer(struct device_update *u);
void device_peer_allow(struct device_peer_update *p, const struct ip_prefix *prefix, bool remove);
void device_status_fini(struct device_status *s);

#endif
