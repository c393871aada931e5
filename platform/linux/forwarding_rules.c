/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables are written as text, as libnftables' JSON knows of no owner; all that has names of others in it is JSON, where a name cannot be
 * taken for anything else.
 */
#include "platform/linux/forwarding_rules.h"

#include <errno.h>
#include <jansson.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/process.h"

/* The table's name, and the comment of rules elsewhere. */
#define OURS "firezone-gateway"

enum {
    TEXT_MAX = 512,
    ACCEPTS = 2 /* rules in a chain: from the TUN and to it */
};

struct forwarding_rules {
    struct nft_ctx *nft;
    char tun[IF_NAMESIZE];
};

struct text_out {
    char *text;
    unsigned size;
};

/* ---- commands ---- */

static enum err fail(const struct text_out *why, enum err err, const char *what)
{
    snprintf(why->text, why->size, "%s", what);
    return err;
}

/* From what libnftables says: lines, of which the first has a place in the input, "Error: " and the reason. */
static enum err convert(struct nft_ctx *nft, const struct text_out *why)
{
    const char *said = nft_ctx_get_error_buffer(nft),
               *reason = said ? strstr(said, "Error: ") : NULL;
    int len;

    reason = reason ? reason + strlen("Error: ") : "nftables does not say why";
    len = (int)strcspn(reason, "\n");
    if (strstr(reason, strerror(EPERM)) || strstr(reason, strerror(EACCES))) {
        snprintf(
            why->text, why->size,
            "nftables refuses to change the packet filter (%.*s): run as root or with CAP_NET_ADMIN, "
            "and with no other gateway beside this one",
            len, reason);
        return ERR_PERMISSION;
    }
    snprintf(
        why->text, why->size,
        "nftables cannot change the packet filter (%.*s): Linux 5.12 or newer with CONFIG_NF_TABLES and "
        "CONFIG_NFT_MASQ is needed",
        len, reason);
    return ERR_UNSUPPORTED;
}

/* flags: of its answer, which is in the output buffer. */
static enum err run(struct forwarding_rules *r, const char *text, unsigned flags,
                    const struct text_out *why)
{
    nft_ctx_output_set_flags(r->nft, flags);
    if (nft_ctx_buffer_output(r->nft) != 0 || nft_ctx_buffer_error(r->nft) != 0)
        return fail(why, ERR_IO, "nftables cannot be used: out of memory");
    return nft_run_cmd_from_buffer(r->nft, text) == 0 ? ERR_OK : convert(r->nft, why);
}

/* commands: an array, which is released. answer: NULL, or the array of objects, to be released. */
static enum err run_json(struct forwarding_rules *r, json_t *commands, json_t **answer,
                         const struct text_out *why)
{
    json_t *whole = json_pack("{s:o}", "nftables", commands);
    char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;

    json_decref(whole);
    if (!text)
        return fail(why, ERR_INVALID, "a name in the packet filter is not UTF-8");
    enum err err = run(r, text, NFT_CTX_OUTPUT_JSON, why);
    free(text);
    if (err != ERR_OK)
        return err;
    if (!answer)
        return ERR_OK;
    whole = json_loads(nft_ctx_get_output_buffer(r->nft), 0, NULL);
    *answer = json_incref(json_object_get(whole, "nftables"));
    json_decref(whole);
    return json_is_array(*answer)
               ? ERR_OK
               : fail(why, ERR_UNSUPPORTED, "nftables' library was built without JSON");
}

/* ---- chains of others ---- */

static const char *member_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* All that is forwarded passes through it. */
static bool is_forward(const json_t *chain)
{
    const char *family = member_of(chain, "family");

    return strcmp(member_of(chain, "hook"), "forward") == 0 &&
           strcmp(member_of(chain, "type"), "filter") == 0 &&
           (strcmp(family, "ip") == 0 || strcmp(family, "ip6") == 0 || strcmp(family, "inet") == 0);
}

static bool drops(const json_t *chain)
{
    return strcmp(member_of(chain, "policy"), "drop") == 0;
}

static bool is_ours(const json_t *rule)
{
    return strcmp(member_of(rule, "comment"), OURS) == 0;
}

/* It speaks of the TUN that there is now. */
static bool is_of(const json_t *rule, const char *tun)
{
    const json_t *first = json_array_get(json_object_get(rule, "expr"), 0);
    return strcmp(member_of(json_object_get(first, "match"), "right"), tun) == 0;
}

static json_t *deletion(const json_t *chain, const json_t *rule)
{
    return json_pack("{s:{s:{s:s,s:s,s:s,s:O}}}", "delete", "rule", "family",
                     member_of(chain, "family"), "table", member_of(chain, "table"), "chain",
                     member_of(chain, "name"), "handle", json_object_get(rule, "handle"));
}

static json_t *addition(const json_t *chain, const char *key, const char *tun)
{
    return json_pack("{s:{s:{s:s,s:s,s:s,s:s,s:[{s:{s:s,s:{s:{s:s}},s:s}},{s:n},{s:n}]}}}", "add",
                     "rule", "family", member_of(chain, "family"), "table",
                     member_of(chain, "table"), "chain", member_of(chain, "name"), "comment", OURS,
                     "expr", "match", "op", "==", "left", "meta", "key", key, "right", tun,
                     "counter", "accept");
}

static enum err list(struct forwarding_rules *r, json_t **out, json_t *what,
                     const struct text_out *why)
{
    return run_json(r, json_pack("[{s:o}]", "list", what), out, why);
}

/* Adds to `commands` what makes the chain have our rules, or none. */
static enum err plan(struct forwarding_rules *r, const json_t *chain, bool wanted, json_t *commands,
                     const struct text_out *why)
{
    json_t *content = NULL, *old = json_array();
    const json_t *item;
    size_t i;
    unsigned right = 0;
    json_t *what = json_pack("{s:{s:s,s:s,s:s}}", "chain", "family", member_of(chain, "family"),
                             "table", member_of(chain, "table"), "name", member_of(chain, "name"));
    enum err err = list(r, &content, what, why);

    json_array_foreach(content, i, item)
    {
        const json_t *rule = json_object_get(item, "rule");
        if (!rule || !is_ours(rule))
            continue;
        right += is_of(rule, r->tun);
        json_array_append_new(old, deletion(chain, rule));
    }
    if (!wanted || right != ACCEPTS || json_array_size(old) != ACCEPTS) {
        json_array_extend(commands, old);
        if (wanted) {
            json_array_append_new(commands, addition(chain, "iifname", r->tun));
            json_array_append_new(commands, addition(chain, "oifname", r->tun));
        }
    }
    json_decref(old);
    json_decref(content);
    return err;
}

static enum err apply(struct forwarding_rules *r, bool wanted, const struct text_out *why)
{
    json_t *chains = NULL, *commands = json_array();
    const json_t *item;
    size_t i;
    enum err err = list(r, &chains, json_pack("{s:n}", "chains"), why);

    json_array_foreach(chains, i, item)
    {
        const json_t *chain = json_object_get(item, "chain");
        if (err == ERR_OK && chain && is_forward(chain))
            err = plan(r, chain, wanted && drops(chain), commands, why);
    }
    json_decref(chains);
    if (err == ERR_OK && json_array_size(commands) > 0)
        return run_json(r, commands, NULL, why);
    json_decref(commands);
    return err;
}

enum err forwarding_rules_accept(struct forwarding_rules *r, char *why, unsigned why_size)
{
    return apply(r, true, &(struct text_out){why, why_size});
}

enum err forwarding_rules_retract(struct forwarding_rules *r, char *why, unsigned why_size)
{
    return apply(r, false, &(struct text_out){why, why_size});
}

/* ---- our own table ---- */

enum err forwarding_rules_masquerade(struct forwarding_rules *r, const struct ip_prefix *range,
                                     char *why, unsigned why_size)
{
    const char *family = range->ip.family == ADDR_V6 ? "ip6" : "ip";
    char text[TEXT_MAX], prefix[IP_PREFIX_TEXT_MAX];

    ip_prefix_format(range, prefix, sizeof prefix);
    snprintf(text, sizeof text,
             "table %s " OURS " { flags owner; }\n"
             "delete table %s " OURS "\n"
             "table %s " OURS " {\n"
             "    flags owner\n"
             "    chain uplinks {\n"
             "        type nat hook postrouting priority srcnat; policy accept;\n"
             "        iifname \"%s\" %s saddr %s masquerade\n"
             "    }\n"
             "}\n",
             family, family, family, r->tun, family, prefix);
    return run(r, text, 0, &(struct text_out){why, why_size});
}

/* ---- life ---- */

/* Where it cannot open its socket libnftables ends the process, and where it may not it writes on stderr. */
static enum err check_host(const struct text_out *why)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    if (fd >= 0)
        close(fd);
    if (fd < 0) {
        snprintf(why->text, why->size, "the kernel has no nftables (%s): load the module nf_tables",
                 strerror(errno));
        return ERR_UNSUPPORTED;
    }
    return process_may_configure_network()
               ? ERR_OK
               : fail(why, ERR_PERMISSION, "forwarding " PROCESS_NETWORK_HINT);
}

enum err forwarding_rules_new(struct forwarding_rules **out, const char *tun, char *why,
                              unsigned why_size)
{
    const struct text_out text = {why, why_size};
    struct forwarding_rules *r;
    enum err err = check_host(&text);

    *out = NULL;
    if (err != ERR_OK)
        return err;
    if (strlen(tun) >= sizeof r->tun || strpbrk(tun, "\"\\*@")) {
        snprintf(why, why_size, "the packet filter takes no device with the name '%s'", tun);
        return ERR_INVALID;
    }
    r = mem_zalloc(1, sizeof *r);
    r->nft = mem_check(nft_ctx_new(NFT_CTX_DEFAULT));
    memcpy(r->tun, tun, strlen(tun));
    *out = r;
    return ERR_OK;
}

void forwarding_rules_free(struct forwarding_rules *r)
{
    if (!r)
        return;
    nft_ctx_free(r->nft); /* the kernel removes what its socket owns */
    free(r);
}
