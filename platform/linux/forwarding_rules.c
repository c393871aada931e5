/* SPDX-License-Identifier: Apache-2.0 */
/* See forwarding_rules.h. */
#include "platform/linux/forwarding_rules.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "platform/linux/nft.h"

/* The table's name, and how comments of rules elsewhere begin. */
#define OURS    "firezone-gateway"
#define UPLINKS "uplinks"
#define TUNNEL  "tunnel"

enum {
    ACCEPTS = 2, /* rules in a chain: from the TUN and to it */
    OLD_MAX = 16,
    COMMENT_MAX = sizeof OURS + IF_NAMESIZE,
    COMMENT_TYPE =
        0, /* of a rule's user data: type, length, a terminated text. As the program nft has it */
    FILTER = 0, /* the usual priorities */
    SOURCE_NAT = 100
};

struct forwarding_rules {
    struct netlink netlink;
    char tun[IF_NAMESIZE];
    char comment[COMMENT_MAX];
};

struct chain {
    uint8_t family;
    bool drops;
    char table[NFT_NAME_MAXLEN], name[NFT_NAME_MAXLEN];
};

struct chains {
    struct chain *list;
    size_t n;
};

/* What we have in one; the number of those that speak of this TUN. */
struct old_rules {
    const struct forwarding_rules *r;
    const struct chain *chain;
    uint64_t handles[OLD_MAX];
    unsigned n, right;
};

static enum err convert(const struct forwarding_rules *r, int e, char *why, unsigned why_size)
{
    if (e == 0)
        return ERR_OK;
    if (e == EPERM || e == EACCES) {
        snprintf(
            why, why_size,
            "nftables refuses to change the packet filter (%s): run as root or with CAP_NET_ADMIN, and "
            "without another program's table " OURS,
            netlink_text(&r->netlink, e));
        return ERR_PERMISSION;
    }
    snprintf(
        why, why_size,
        "nftables cannot change the packet filter (%s): Linux 5.12 or newer with CONFIG_NF_TABLES and "
        "CONFIG_NFT_MASQ is needed",
        netlink_text(&r->netlink, e));
    return ERR_UNSUPPORTED;
}

static struct nlmsghdr *put_rule(struct nft_batch *b, const struct chain *c, unsigned type,
                                 unsigned flags)
{
    struct nlmsghdr *h = nft_put(b, type, flags, c->family);

    mnl_attr_put_strz(h, NFTA_RULE_TABLE, c->table);
    mnl_attr_put_strz(h, NFTA_RULE_CHAIN, c->name);
    return h;
}

/* ---- our own table ---- */

static void put_table(struct nft_batch *b, uint8_t family, unsigned type)
{
    struct nlmsghdr *h = nft_put(b, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0, family);

    mnl_attr_put_strz(h, NFTA_TABLE_NAME, OURS);
    if (type == NFT_MSG_NEWTABLE)
        mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_OWNER));
}

static void put_chain(struct nft_batch *b, uint8_t family, const char *name, const char *type,
                      uint32_t hooknum, uint32_t priority)
{
    struct nlmsghdr *h = nft_put(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family);

    mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, OURS);
    mnl_attr_put_strz(h, NFTA_CHAIN_NAME, name);
    struct nlattr *hook = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);
    mnl_attr_put_u32(h, NFTA_HOOK_HOOKNUM, htonl(hooknum));
    mnl_attr_put_u32(h, NFTA_HOOK_PRIORITY, htonl(priority));
    mnl_attr_nest_end(h, hook);
    mnl_attr_put_u32(h, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT));
    mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, type);
}

static void put_rules(const struct forwarding_rules *r, struct nft_batch *b, uint8_t family,
                      const struct ip_prefix *range)
{
    const struct chain uplinks = {.family = family, .table = OURS, .name = UPLINKS},
                       tunnel = {.family = family, .table = OURS, .name = TUNNEL};
    struct nlmsghdr *h = put_rule(b, &uplinks, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    struct nlattr *list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);

    nft_match_device(h, NFT_META_IIFNAME, r->tun);
    nft_match_source(h, range);
    nft_masquerade(h);
    mnl_attr_nest_end(h, list);
    h = put_rule(b, &tunnel, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);
    nft_match_device(h, NFT_META_OIFNAME, r->tun);
    nft_match_source(h, range);
    nft_count(h);
    nft_drop(h);
    mnl_attr_nest_end(h, list);
}

enum err forwarding_rules_own(struct forwarding_rules *r, const struct ip_prefix *range, char *why,
                              unsigned why_size)
{
    uint8_t family = range->ip.family == ADDR_V6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
    struct nft_batch *b = nft_begin(&r->netlink);

    put_table(b, family, NFT_MSG_NEWTABLE); /* there is one to delete */
    put_table(b, family, NFT_MSG_DELTABLE);
    put_table(b, family, NFT_MSG_NEWTABLE);
    put_chain(b, family, UPLINKS, "nat", NF_INET_POST_ROUTING, SOURCE_NAT);
    put_chain(b, family, TUNNEL, "filter", NF_INET_FORWARD, FILTER);
    put_rules(r, b, family, range);
    return convert(r, nft_commit(&r->netlink, b), why, why_size);
}

/* ---- chains of others ---- */

static bool take_name(char out[NFT_NAME_MAXLEN], const struct nlattr *attr)
{
    size_t len = strnlen(mnl_attr_get_str(attr), mnl_attr_get_payload_len(attr));

    if (len >= NFT_NAME_MAXLEN)
        return false;
    memcpy(out, mnl_attr_get_str(attr), len);
    out[len] = '\0';
    return true;
}

static uint32_t number(const struct nlattr *attr)
{
    return mnl_attr_get_payload_len(attr) < sizeof(uint32_t) ? UINT32_MAX
                                                             : ntohl(mnl_attr_get_u32(attr));
}

static int take_hook(const struct nlattr *attr, void *arg)
{
    uint32_t *hook = arg;

    if (mnl_attr_get_type(attr) == NFTA_HOOK_HOOKNUM)
        *hook = number(attr);
    return MNL_CB_OK;
}

struct chain_seen {
    struct chain chain;
    char type[NFT_NAME_MAXLEN];
    uint32_t hook, policy;
};

static int take_chain_attr(const struct nlattr *attr, void *arg)
{
    struct chain_seen *s = arg;

    switch (mnl_attr_get_type(attr)) {
    case NFTA_CHAIN_TABLE:
        return take_name(s->chain.table, attr) ? MNL_CB_OK : MNL_CB_ERROR;
    case NFTA_CHAIN_NAME:
        return take_name(s->chain.name, attr) ? MNL_CB_OK : MNL_CB_ERROR;
    case NFTA_CHAIN_TYPE:
        return take_name(s->type, attr) ? MNL_CB_OK : MNL_CB_ERROR;
    case NFTA_CHAIN_HOOK:
        return mnl_attr_parse_nested(attr, take_hook, &s->hook);
    case NFTA_CHAIN_POLICY:
        s->policy = number(attr);
    }
    return MNL_CB_OK;
}

/* Those where all that is forwarded passes. */
static void take_chain(void *arg, const struct nlmsghdr *h)
{
    struct chain_seen s = {.hook = UINT32_MAX, .policy = NF_ACCEPT};
    struct chains *c = arg;

    if (!h) {
        c->n = 0;
        return;
    }
    s.chain.family = nft_family(h);
    if (s.chain.family != NFPROTO_IPV4 && s.chain.family != NFPROTO_IPV6 &&
        s.chain.family != NFPROTO_INET)
        return;
    if (mnl_attr_parse(h, nft_attrs(), take_chain_attr, &s) != MNL_CB_OK ||
        s.hook != NF_INET_FORWARD || strcmp(s.type, "filter") != 0)
        return;
    s.chain.drops = s.policy == NF_DROP;
    c->list = mem_grow(c->list, c->n, sizeof *c->list);
    c->list[c->n++] = s.chain;
}

static void take_comment(struct old_rules *o, const struct nlattr *attr, bool *ours, bool *right)
{
    const uint8_t *p = mnl_attr_get_payload(attr);
    size_t left = mnl_attr_get_payload_len(attr);

    while (left >= 2 && left - 2 >= p[1]) {
        size_t len = p[1];
        const char *text = (const char *)p + 2;
        if (p[0] == COMMENT_TYPE && len > 0 && text[len - 1] == '\0') {
            *ours = strncmp(text, OURS " ", strlen(OURS " ")) == 0;
            *right = strcmp(text, o->r->comment) == 0;
        }
        p += 2 + len;
        left -= 2 + len;
    }
}

struct rule_seen {
    struct old_rules *old;
    uint64_t handle;
    bool ours, right;
};

static int take_rule_attr(const struct nlattr *attr, void *arg)
{
    struct rule_seen *s = arg;

    if (mnl_attr_get_type(attr) == NFTA_RULE_USERDATA)
        take_comment(s->old, attr, &s->ours, &s->right);
    if (mnl_attr_get_type(attr) == NFTA_RULE_HANDLE &&
        mnl_attr_get_payload_len(attr) >= sizeof(uint64_t))
        s->handle = be64toh(mnl_attr_get_u64(attr));
    return MNL_CB_OK;
}

static void take_rule(void *arg, const struct nlmsghdr *h)
{
    struct old_rules *o = arg;
    struct rule_seen s = {.old = o};

    if (!h) {
        o->n = o->right = 0;
        return;
    }
    mnl_attr_parse(h, nft_attrs(), take_rule_attr, &s);
    if (!s.ours || o->n == OLD_MAX)
        return;
    o->handles[o->n++] = s.handle;
    o->right += s.right;
}

/* Those of ours in the chain. A chain that has just gone has none. */
static int find_old(struct forwarding_rules *r, struct old_rules *o)
{
    struct netlink_buf *b = mem_zalloc(1, sizeof *b);
    struct nlmsghdr *h = nft_list(b, NFT_MSG_GETRULE, o->chain->family);

    mnl_attr_put_strz(h, NFTA_RULE_TABLE, o->chain->table);
    mnl_attr_put_strz(h, NFTA_RULE_CHAIN, o->chain->name);
    int e = netlink_dump(&r->netlink, h, take_rule, o);
    free(b);
    return e == ENOENT ? 0 : e;
}

static void put_accept(struct nft_batch *b, const struct forwarding_rules *r, const struct chain *c,
                       uint32_t key)
{
    uint8_t data[2 + COMMENT_MAX] = {COMMENT_TYPE, (uint8_t)(strlen(r->comment) + 1)};
    struct nlmsghdr *h = put_rule(b, c, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    struct nlattr *list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);

    nft_match_device(h, key, r->tun);
    nft_count(h);
    nft_accept(h);
    mnl_attr_nest_end(h, list);
    memcpy(data + 2, r->comment, data[1]);
    mnl_attr_put(h, NFTA_RULE_USERDATA, 2u + data[1], data);
}

/* The chain has our rules afterwards, or none. */
static int set_chain(struct forwarding_rules *r, const struct chain *c, bool wanted)
{
    struct old_rules old = {.r = r, .chain = c};
    int e = find_old(r, &old);

    if (e != 0 || (wanted ? old.n == ACCEPTS && old.right == ACCEPTS : old.n == 0))
        return e;
    struct nft_batch *b = nft_begin(&r->netlink);
    for (unsigned i = 0; i < old.n; i++) {
        struct nlmsghdr *h = put_rule(b, c, NFT_MSG_DELRULE, 0);
        mnl_attr_put_u64(h, NFTA_RULE_HANDLE, htobe64(old.handles[i]));
    }
    if (wanted) {
        put_accept(b, r, c, NFT_META_IIFNAME);
        put_accept(b, r, c, NFT_META_OIFNAME);
    }
    return nft_commit(&r->netlink, b);
}

static int set_all(struct forwarding_rules *r, bool wanted)
{
    struct netlink_buf b;
    struct chains chains = {NULL, 0};
    int e = netlink_dump(&r->netlink, nft_list(&b, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC), take_chain,
                         &chains);

    for (size_t i = 0; i < chains.n && e == 0; i++)
        e = set_chain(r, &chains.list[i], wanted && chains.list[i].drops);
    free(chains.list);
    return e;
}

enum err forwarding_rules_accept(struct forwarding_rules *r, char *why, unsigned why_size)
{
    return convert(r, set_all(r, true), why, why_size);
}

enum err forwarding_rules_retract(struct forwarding_rules *r, char *why, unsigned why_size)
{
    return convert(r, set_all(r, false), why, why_size);
}

/* ---- life ---- */

enum err forwarding_rules_new(struct forwarding_rules **out, const char *tun, char *why,
                              unsigned why_size)
{
    struct forwarding_rules *r = mem_zalloc(1, sizeof *r);
    enum err err = nft_open(&r->netlink);

    *out = NULL;
    ASSERT(strlen(tun) < sizeof r->tun);
    if (err != ERR_OK) {
        snprintf(why, why_size, "the kernel has no nftables (%s): load the module nf_tables",
                 err_text(err));
        free(r);
        return ERR_UNSUPPORTED;
    }
    memcpy(r->tun, tun, strlen(tun));
    snprintf(r->comment, sizeof r->comment, OURS " %s", tun);
    *out = r;
    return ERR_OK;
}

void forwarding_rules_free(struct forwarding_rules *r)
{
    if (!r)
        return;
    netlink_close(&r->netlink); /* the kernel removes what it owns */
    free(r);
}
