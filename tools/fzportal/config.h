/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The development portal's configuration: one INI file that describes an account as its administrator sees it. Strict: what
 * is not known, said twice or makes no sense is refused with one sentence that names file, line and key. example.ini
 * explains all of it.
 *
 * The keys of a [resource ...] section are also what the control interface sets: both go through portal_config_resource_set.
 */
#ifndef FZ_TOOLS_FZPORTAL_CONFIG_H
#define FZ_TOOLS_FZPORTAL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/portal/fields.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    PORTAL_NAME_MAX = 255,
    PORTAL_DNS_SERVERS_MAX = 8,
    PORTAL_SECRET_LEN = 64, /* of a relay's stamp secret: hexadecimal digits */
    PORTAL_CONFIG_FILE_MAX = 64 << 20
};

enum portal_role {
    PORTAL_CLIENT,
    PORTAL_GATEWAY,
    PORTAL_RELAY
};

enum portal_kind {
    PORTAL_DNS,
    PORTAL_CIDR,
    PORTAL_IP, /* shown to clients as a CIDR */
    PORTAL_INTERNET,
    PORTAL_STATIC_POOL,
    PORTAL_DYNAMIC_POOL
};

enum portal_stack {
    PORTAL_STACK_UNSAID,
    PORTAL_STACK_DUAL,
    PORTAL_STACK_V4,
    PORTAL_STACK_V6
};

enum portal_dns_mode {
    PORTAL_DNS_SYSTEM,
    PORTAL_DNS_CUSTOM,
    PORTAL_DNS_SECURE
};

struct portal_list {
    char **at;
    size_t n;
};

struct portal_filter {
    const char *protocol; /* "tcp", "udp" or "icmp" */
    bool ranged;          /* first and last count */
    uint16_t first, last; /* inclusive */
};

struct portal_filters {
    struct portal_filter *at;
    size_t n;
};

/* All names are unique within their kind. An id of zeros: made from the seed and the name. line: of the section. */
struct portal_config_token {
    char *name;
    unsigned line;
    enum portal_role role;
    char *text; /* NULL: one is generated */
    /* Of a client's token. */
    struct portal_list groups; /* of its actor, for policies */
    char *actor;               /* name; NULL: the token's name */
    char *email;               /* NULL: none */
    bool is_user;              /* of a person, not a service account */
    uint32_t lifetime_s;       /* from the start of the portal */
    /* Of a gateway's token. */
    char *site;
};

struct portal_config_site {
    char *name;
    unsigned line;
    struct uuid id;
};

struct portal_config_resource {
    char *name;
    unsigned line;
    struct uuid id;
    bool has_kind;
    enum portal_kind kind;
    char *address;     /* of all but static pools and the Internet; CIDR: with a length */
    char *description; /* NULL: none */
    enum portal_stack stack;
    struct portal_filters filters; /* none: everything is allowed */
    char *site;                    /* of all but pools */
    struct portal_list members;    /* of pools: names of tokens, external ids or names of devices */
    bool can_be_disabled;          /* of the Internet; default true */
};

/* Whose tokens have one of `groups` may reach `resources`; "*" in either stands for all. */
struct portal_config_policy {
    char *name;
    unsigned line;
    struct uuid id;
    struct portal_list groups, resources;
    struct portal_list
        violates;        /* not empty: the resources are shown, but refused for these properties */
    uint32_t lifetime_s; /* of an authorisation; 0: as long as the token */
};

/* A relay that is always there and never connects. Its credentials: made of the secret for each device, or the same for all. */
struct portal_config_relay {
    char *name;
    unsigned line;
    struct ip_addr ipv4, ipv6; /* at least one */
    uint16_t port;
    char *secret;              /* NULL: literal ones */
    char *username, *password; /* both or neither */
};

struct portal_config_dns {
    enum portal_dns_mode mode;
    struct portal_list servers; /* custom: addresses */
    char *url;                  /* secure: of the resolver */
    char *search_domain;        /* NULL: none */
};

struct portal_config {
    /* [portal], what concerns sockets */
    struct sock_addr listen; /* default 127.0.0.1:8081 */
    char *control;           /* path of the control socket; NULL: none */
    char *certificate, *key; /* PEM files; NULL, both: plain ws:// */
    /* [portal], behaviour */
    char *seed;              /* text that ids and secrets are made of; NULL: others at each start */
    bool connect_limit;      /* at all */
    uint32_t connect_refill; /* permits per second and (address, token) */
    uint32_t connect_capacity; /* permits in stock */
    uint32_t idle_s;           /* clients and gateways without data are dropped after */
    uint32_t idle_relay_s;
    uint32_t answer_s;    /* how long a gateway may take to answer */
    uint32_t presence_ms; /* without a change of relays, before peers are told */
    /* [account NAME] */
    char *account; /* its slug */
    unsigned account_line;
    struct uuid account_id;
    bool masquerade_v4, masquerade_v6;
    /* [features] */
    bool iceless, client_to_client, internet;
    /* [flow-logs] */
    char *flow_url;
    uint32_t flow_interval_s, flow_batch;
    bool flow_uploads;

    struct portal_config_dns dns;
    struct portal_config_token *tokens;
    struct portal_config_site *sites;
    struct portal_config_resource *resources;
    struct portal_config_policy *policies;
    struct portal_config_relay *relays;
    size_t tokens_n, sites_n, resources_n, policies_n, relays_n;
};

/* On failure `why` is one sentence and `out` is empty; ERR_NOT_FOUND, ERR_PERMISSION, ERR_IO, ERR_NO_SPACE or ERR_PARSE. */
enum err portal_config_load(struct portal_config *out, const char *path, char *why,
                            unsigned why_size) MUST_USE;
/* The same of a text; name: what `why` calls it. */
enum err portal_config_parse(struct portal_config *out, const char *text, const char *name,
                             char *why, unsigned why_size) MUST_USE;
void portal_config_fini(struct portal_config *c);

/*
 * Sets one key of a resource ("filters", "tcp/443, icmp"); why: "filters: not ...". check: does it make sense as a whole?
 * `sites` of the configuration are looked up.
 */
enum err portal_config_resource_set(struct portal_config_resource *r, const char *key,
                                    const char *value, char *why, unsigned why_size) MUST_USE;
/* Takes a key away again. */
enum err portal_config_resource_clear(struct portal_config_resource *r, const char *key, char *why,
                                      unsigned why_size) MUST_USE;
enum err portal_config_resource_check(const struct portal_config *c,
                                      const struct portal_config_resource *r, char *why,
                                      unsigned why_size) MUST_USE;
/* `out` need not be anything before. */
void portal_config_resource_copy(struct portal_config_resource *out,
                                 const struct portal_config_resource *from);
void portal_config_resource_fini(struct portal_config_resource *r);

/* As above, of a [dns] section. */
enum err portal_config_dns_set(struct portal_config_dns *d, const char *key, const char *value,
                               char *why, unsigned why_size) MUST_USE;
enum err portal_config_dns_check(const struct portal_config_dns *d, char *why,
                                 unsigned why_size) MUST_USE;
void portal_config_dns_copy(struct portal_config_dns *out, const struct portal_config_dns *from);
void portal_config_dns_fini(struct portal_config_dns *d);

#endif
