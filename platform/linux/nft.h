/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the kernel's nftables over libmnl: changes, of which a batch is done as a whole or not at all, and lists. Names are the
 * kernel's bytes, of which none has a meaning. Control thread.
 *
 *   struct nft_batch *b = nft_begin(&n);
 *   struct nlmsghdr *h = nft_put(b, NFT_MSG_NEWRULE, NLM_F_CREATE, NFPROTO_IPV4);
 *   ... mnl_attr_put ..., nft_match_..., nft_accept ...
 *   int e = nft_commit(&n, b);
 */
#ifndef FZ_LINUX_NFT_H
#define FZ_LINUX_NFT_H

#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/linux/netlink.h"

struct nft_batch;

/* Tables with NFT_TABLE_F_OWNER belong to `n`, and go when it is closed. netlink_close. */
enum err nft_open(struct netlink *n) MUST_USE;

struct nft_batch *nft_begin(struct netlink *n);
/* The next message; attributes are put into it before the next call. */
struct nlmsghdr *nft_put(struct nft_batch *b, unsigned type, unsigned flags, uint8_t family);
/* Frees the batch, which has a message. Returns 0 or a positive errno; netlink_text tells more. */
int nft_commit(struct netlink *n, struct nft_batch *b);
/* Instead. */
void nft_abandon(struct nft_batch *b);

/* A request for netlink_dump. */
struct nlmsghdr *nft_list(struct netlink_buf *b, unsigned type, uint8_t family);
/* The family of a message of the answer, and the first attribute's place for mnl_attr_parse. */
uint8_t nft_family(const struct nlmsghdr *h);
unsigned nft_attrs(void);

/* Expressions of a rule, between mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS) and the end of that. */

/* key: NFT_META_IIFNAME or NFT_META_OIFNAME. */
void nft_match_device(struct nlmsghdr *h, uint32_t key, const char *name);
void nft_match_source(struct nlmsghdr *h, const struct ip_prefix *range);
void nft_count(struct nlmsghdr *h);
void nft_accept(struct nlmsghdr *h);
void nft_drop(struct nlmsghdr *h);
void nft_masquerade(struct nlmsghdr *h);

#endif
