/* SPDX-License-Identifier: Apache-2.0 */
/* See nft.h. Numbers are in network byte order. */
#include "platform/linux/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

enum {
    BATCH_MAX = 32768,
    MESSAGE_MAX = 2048, /* three names of 255 bytes and a rule's expressions */
    V4_SOURCE = 12,     /* of an address in its header */
    V6_SOURCE = 8
};

struct nft_batch {
    size_t len;            /* without `last` */
    struct nlmsghdr *last; /* may still grow */
    uint32_t first_seq;
    char bytes[BATCH_MAX] __attribute__((aligned(8)));
};

enum err nft_open(struct netlink *n)
{
    return netlink_open_protocol(n, NETLINK_NETFILTER);
}

/* ---- batches ---- */

static struct nlmsghdr *put(struct nft_batch *b, unsigned type, unsigned flags, uint8_t family,
                            uint16_t id)
{
    uint32_t seq = b->last ? b->last->nlmsg_seq + 1 : b->first_seq;

    if (b->last)
        b->len += NLMSG_ALIGN(b->last->nlmsg_len);
    ASSERT(b->len + MESSAGE_MAX <= sizeof b->bytes);
    struct nlmsghdr *h = mnl_nlmsg_put_header(b->bytes + b->len);
    h->nlmsg_type = (uint16_t)type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    h->nlmsg_seq = seq;
    struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);
    *g = (struct nfgenmsg){family, NFNETLINK_V0, htons(id)};
    b->last = h;
    return h;
}

struct nft_batch *nft_begin(struct netlink *n)
{
    struct nft_batch *b = mem_zalloc(1, sizeof *b);

    b->first_seq = n->seq + 1;
    put(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    return b;
}

struct nlmsghdr *nft_put(struct nft_batch *b, unsigned type, unsigned flags, uint8_t family)
{
    return put(b, NFNL_SUBSYS_NFTABLES << 8 | type, flags, family, 0);
}

/* The first failure counts. True: it was the last answer, that to the last message, or one to the batch as a whole. */
static bool take(struct netlink *n, const struct nft_batch *b, uint32_t last,
                 const struct nlmsghdr *h, int *error)
{
    if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq - b->first_seq > last - b->first_seq)
        return false;
    int e = netlink_error(n, h);
    if (*error == 0)
        *error = e;
    return h->nlmsg_seq == last || (h->nlmsg_seq == b->first_seq && e != 0);
}

static int wait_for(struct netlink *n, const struct nft_batch *b, uint32_t last)
{
    int error = 0;

    for (bool ended = false; !ended;) {
        ssize_t len = netlink_receive(n);
        if (len < 0)
            return (int)-len;
        int left = (int)len;
        for (const struct nlmsghdr *h = n->answer; !ended && mnl_nlmsg_ok(h, left);
             h = mnl_nlmsg_next(h, &left))
            ended = take(n, b, last, h, &error);
    }
    return error;
}

int nft_commit(struct netlink *n, struct nft_batch *b)
{
    uint32_t last = b->last->nlmsg_seq;
    int e = 0;

    b->last->nlmsg_flags |= NLM_F_ACK;
    put(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    b->len += b->last->nlmsg_len;
    n->seq = b->last->nlmsg_seq;
    n->text[0] = '\0';
    if (mnl_socket_sendto(n->socket, b->bytes, b->len) < 0)
        e = errno;
    else
        e = wait_for(n, b, last);
    free(b);
    return e;
}

void nft_abandon(struct nft_batch *b)
{
    free(b);
}

/* ---- lists ---- */

struct nlmsghdr *nft_list(struct netlink_buf *b, unsigned type, uint8_t family)
{
    struct nlmsghdr *h = netlink_begin(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), 0);
    struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);

    *g = (struct nfgenmsg){family, NFNETLINK_V0, 0};
    return h;
}

uint8_t nft_family(const struct nlmsghdr *h)
{
    const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
    return mnl_nlmsg_get_payload_len(h) < sizeof *g ? NFPROTO_UNSPEC : g->nfgen_family;
}

unsigned nft_attrs(void)
{
    return sizeof(struct nfgenmsg);
}

/* ---- expressions ---- */

struct expression {
    struct nlattr *element, *data;
};

static struct expression begin(struct nlmsghdr *h, const char *name)
{
    struct expression e = {.element = mnl_attr_nest_start(h, NFTA_LIST_ELEM)};

    mnl_attr_put_strz(h, NFTA_EXPR_NAME, name);
    e.data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
    return e;
}

static void end(struct nlmsghdr *h, const struct expression *e)
{
    mnl_attr_nest_end(h, e->data);
    mnl_attr_nest_end(h, e->element);
}

static void put_number(struct nlmsghdr *h, uint16_t type, uint32_t value)
{
    mnl_attr_put_u32(h, type, htonl(value));
}

static void put_value(struct nlmsghdr *h, uint16_t type, const void *value, size_t len)
{
    struct nlattr *data = mnl_attr_nest_start(h, type);

    mnl_attr_put(h, NFTA_DATA_VALUE, len, value);
    mnl_attr_nest_end(h, data);
}

/* The register has this value. */
static void compare(struct nlmsghdr *h, const void *value, size_t len)
{
    struct expression e = begin(h, "cmp");

    put_number(h, NFTA_CMP_SREG, NFT_REG_1);
    put_number(h, NFTA_CMP_OP, NFT_CMP_EQ);
    put_value(h, NFTA_CMP_DATA, value, len);
    end(h, &e);
}

void nft_match_device(struct nlmsghdr *h, uint32_t key, const char *name)
{
    char whole[IF_NAMESIZE] = "";
    struct expression e = begin(h, "meta");

    memcpy(whole, name, strnlen(name, sizeof whole - 1));
    put_number(h, NFTA_META_DREG, NFT_REG_1);
    put_number(h, NFTA_META_KEY, key);
    end(h, &e);
    compare(h, whole, sizeof whole);
}

void nft_match_source(struct nlmsghdr *h, const struct ip_prefix *range)
{
    static const uint8_t none[sizeof(struct ip_addr)];
    bool v6 = range->ip.family == ADDR_V6;
    size_t len = ip_addr_len(&range->ip);
    uint8_t mask[sizeof range->ip.bytes] = {0};

    for (unsigned i = 0; i < range->len; i++)
        mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
    struct expression e = begin(h, "payload");
    put_number(h, NFTA_PAYLOAD_DREG, NFT_REG_1);
    put_number(h, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    put_number(h, NFTA_PAYLOAD_OFFSET, v6 ? V6_SOURCE : V4_SOURCE);
    put_number(h, NFTA_PAYLOAD_LEN, (uint32_t)len);
    end(h, &e);
    e = begin(h, "bitwise");
    put_number(h, NFTA_BITWISE_SREG, NFT_REG_1);
    put_number(h, NFTA_BITWISE_DREG, NFT_REG_1);
    put_number(h, NFTA_BITWISE_LEN, (uint32_t)len);
    put_value(h, NFTA_BITWISE_MASK, mask, len);
    put_value(h, NFTA_BITWISE_XOR, none, len);
    end(h, &e);
    compare(h, range->ip.bytes, len);
}

void nft_count(struct nlmsghdr *h)
{
    struct expression e = begin(h, "counter");
    end(h, &e);
}

static void decide(struct nlmsghdr *h, uint32_t code)
{
    struct expression e = begin(h, "immediate");

    put_number(h, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    struct nlattr *data = mnl_attr_nest_start(h, NFTA_IMMEDIATE_DATA);
    struct nlattr *verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);
    put_number(h, NFTA_VERDICT_CODE, code);
    mnl_attr_nest_end(h, verdict);
    mnl_attr_nest_end(h, data);
    end(h, &e);
}

void nft_accept(struct nlmsghdr *h)
{
    decide(h, NF_ACCEPT);
}

void nft_drop(struct nlmsghdr *h)
{
    decide(h, NF_DROP);
}

void nft_masquerade(struct nlmsghdr *h)
{
    struct expression e = begin(h, "masq");
    end(h, &e);
}
