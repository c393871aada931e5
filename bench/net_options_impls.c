/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_options_private.h"

static enum err add_impl(struct net_options *o, struct net_impl impl, struct why why)
{
    for (size_t i = 0; i < o->impls_n; i++) {
        if (strcmp(o->impls[i].name, impl.name) == 0)
            return why_fail(why, ERR_PARSE, "there are two implementations named '%s'", impl.name);
    }
    if (o->impls_n == NET_IMPLS_MAX)
        return why_fail(why, ERR_PARSE, "more than %d implementations", NET_IMPLS_MAX);
    o->impls[o->impls_n++] = impl;
    return ERR_OK;
}

static enum err add_variant(struct net_options *o, const struct net_chosen *c, const char *text,
                            struct why why)
{
    struct net_impl impl = {.kind = NET_OURS, .path = c->client};
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

    if (n == 0 || n >= sizeof impl.name || text[n] != '=')
        return why_fail(why, ERR_PARSE,
                        "--variant: '%s' is not NAME=FLAGS with a name of 1 to %d of a-z 0-9 _.-",
                        text, NET_NAME_MAX - 1);
    memcpy(impl.name, text, n);
    impl.flags = text + n + 1;
    if (strncmp(impl.name, "ratio", 5) == 0)
        return why_fail(why, ERR_PARSE, "--variant: rows named '%s' are something else", impl.name);
    return add_impl(o, impl, why);
}

static enum err make_plain(struct net_options *o, const struct net_chosen *c, struct why why)
{
    const struct net_impl ours = {.name = "ours", .kind = NET_OURS, .path = c->client};
    const struct net_impl go = {.name = "wireguard-go", .kind = NET_WIREGUARD_GO, .path = c->rival};
    struct net_impl older = {.name = "baseline", .kind = NET_OURS, .path = c->older};
    bool is_go = strcmp(c->impl, "wireguard-go") == 0;
    enum err err = add_impl(o, is_go ? go : ours, why);

    if (err == ERR_OK && c->against_go)
        err = add_impl(o, go, why);
    if (err == ERR_OK && c->older != NULL)
        err = add_impl(o, older, why);
    for (size_t i = 0; err == ERR_OK && i < c->variants_n; i++)
        err = add_variant(o, c, c->variants[i], why);
    return err;
}

/* The relayed one is first: it is compared with the direct one. */
static enum err make_paths(struct net_options *o, const struct net_chosen *c, struct why why)
{
    static const char *const names[] = {"relayed", "direct"};
    bool wanted[ARRAY_LEN(names)] = {false};
    char word[NET_NAME_MAX];
    enum err err = ERR_OK;

    for (const char *rest = c->path; net_options_word(&rest, word);) {
        size_t i = 0;
        while (i < ARRAY_LEN(names) && strcmp(word, names[i]) != 0)
            i++;
        if (i == ARRAY_LEN(names))
            return why_fail(why, ERR_PARSE, "--path: '%s' is neither direct nor relayed", word);
        if (wanted[i])
            return why_fail(why, ERR_PARSE, "--path: %s is there twice", word);
        wanted[i] = true;
    }
    for (size_t i = 0; err == ERR_OK && i < ARRAY_LEN(names); i++) {
        struct net_impl impl = {.kind = NET_FIREZONE, .path = c->client, .relayed = i == 0};
        snprintf(impl.name, sizeof impl.name, "%s", names[i]);
        if (wanted[i])
            err = add_impl(o, impl, why);
    }
    return err;
}

/* A plain tunnel knows no names. */
static bool only_dns(const struct net_options *o)
{
    for (unsigned part = 0; part < NET_PARTS; part++) {
        if (o->parts[part] != (part == NET_DNS))
            return false;
    }
    return true;
}

static enum err make_firezone(struct net_options *o, const struct net_chosen *c, struct why why)
{
    const bool by_name = c->resource != NULL && strcmp(c->resource, "name") == 0;
    struct net_impl firezone = {.kind = NET_FIREZONE, .path = c->client, .by_name = by_name};
    const struct net_impl plain = {.name = "wireguard", .kind = NET_OURS, .path = c->client};

    if (c->resource != NULL && !by_name && strcmp(c->resource, "address") != 0)
        return why_fail(why, ERR_PARSE, "--resource: '%s' is neither address nor name",
                        c->resource);
    snprintf(firezone.name, sizeof firezone.name, "%s", by_name ? "firezone-name" : "firezone");
    enum err err = add_impl(o, firezone, why);

    return err == ERR_OK && !only_dns(o) ? add_impl(o, plain, why) : err;
}

/* Those that have hosts of their own. */
static enum err make_with_hosts(struct net_options *o, const struct net_chosen *c, struct why why)
{
    const char *flag = c->firezone ? "--firezone" : "--path";

    if (c->firezone && c->path != NULL)
        return why_fail(why, ERR_PARSE, "--firezone: not possible together with --path");
    if (c->plain != NULL)
        return why_fail(why, ERR_PARSE, "%s: not possible together with --%s", flag, c->plain);
    o->mtus[0] = NET_MTU_FIREZONE;
    return c->firezone ? make_firezone(o, c, why) : make_paths(o, c, why);
}

enum err net_options_impls(struct net_options *o, const struct net_chosen *c, struct why why)
{
    return o->paths ? make_with_hosts(o, c, why) : make_plain(o, c, why);
}
