/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nonces: one per address of a client, a UUID, good for RELAY_NONCE_USES requests. There is room for a fixed number; the oldest gives
 * way, whose client then gets another. Pure but for the memory it begins with; one thread. Source: spec/p2p.md 12.3.
 */
#ifndef FZ_TOOLS_FZRELAY_NONCES_H
#define FZ_TOOLS_FZRELAY_NONCES_H

#include <stdbool.h>
#include <stdint.h>

#include "control/p2p/stun.h"
#include "platform/base/addr.h"
#include "tools/fzrelay/chain.h"
#include "tools/fzrelay/draw.h"

enum {
    NONCE_LEN = 36 /* 01234567-89ab-4def-8123-456789abcdef */
};

struct nonce {
    struct sock_addr client;
    uint8_t uuid[16];
    uint32_t left; /* uses; 0: none, or the slot is free */
    bool used;     /* the slot */
};

struct nonces {
    struct nonce *slots;
    struct chain by_client;
    uint64_t key;
    uint32_t size, used, next; /* next: the slot to take */
};

void nonces_init(struct nonces *s, uint32_t size, struct draw *draw);
void nonces_fini(struct nonces *s);
/* No one is known any more. */
void nonces_forget(struct nonces *s);
void nonces_forget_client(struct nonces *s, const struct sock_addr *client);

/* The text of the client's nonce, a new one if it has none that is good; NONCE_LEN characters and a terminator. */
void nonces_issue(struct nonces *s, const struct sock_addr *client, struct draw *draw,
                  char out[NONCE_LEN + 1]);

enum nonce_verdict {
    NONCE_GOOD, /* that was one use */
    NONCE_NONE, /* not present, or no UUID */
    NONCE_STALE
};

enum nonce_verdict nonces_use(struct nonces *s, const struct sock_addr *client,
                              struct stun_text text);

#endif
