/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a tunnel, whoever its peers come from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/options_private.h"
#include "control/tunnel.h"

/* Names of interfaces that neither the kernel nor a shell trips over. */
static bool tun_name_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=+.-";
    size_t n = strlen(name);

    return n >= 1 && n < TUN_NAME_MAX && strspn(name, allowed) == n && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

void options_tun_name_derive(struct options *o)
{
    const char *slash = strrchr(o->config_path, '/');
    const char *base = slash ? slash + 1 : o->config_path;
    size_t n = strlen(base);
    char name[TUN_NAME_MAX];

    if (n <= 5 || strcmp(base + n - 5, ".conf") != 0 || n - 5 >= sizeof name)
        return;
    memcpy(name, base, n - 5);
    name[n - 5] = '\0';
    if (tun_name_valid(name))
        memcpy(o->tun_name, name, sizeof name);
}

static enum err set_tun(struct options *o, const char *by, const char *value, const struct why *why)
{
    if (!tun_name_valid(value))
        return options_fail_value(why, by, value,
                                  "not the name of an interface (1 to 15 of A-Z a-z 0-9 _=+.-)");
    snprintf(o->tun_name, sizeof o->tun_name, "%s", value);
    return ERR_OK;
}
_Static_assert(TUN_NAME_MAX == 16, "the message says how long a name may be");

static enum err set_workers(struct options *o, const char *by, const char *value,
                            const struct why *why)
{
    size_t n = strlen(value);

    o->workers = n <= 3 && strspn(value, "0123456789") == n ? (unsigned)atoi(value) : 0;
    if (o->workers < 1 || o->workers > OPTIONS_WORKERS_MAX)
        return options_fail_value(why, by, value, "not a number from 1 to 64");
    return ERR_OK;
}
_Static_assert(OPTIONS_WORKERS_MAX == 64, "the message says how many there may be");

static enum err set_io(struct options *o, const char *by, const char *value, const struct why *why)
{
    static const char *const names[] = {"auto", "uring", "epoll", NULL};
    static const enum io_backend backends[] = {IO_AUTO, IO_URING, IO_EPOLL};
    unsigned i;
    enum err err = options_choose(&i, names, by, value, why);

    if (err == ERR_OK)
        o->io = backends[i];
    return err;
}

static enum err set_crypto(struct options *o, const char *by, const char *value,
                           const struct why *why)
{
    return crypt_backend_parse(&o->crypto, value) == ERR_OK
               ? ERR_OK
               : options_fail_value(why, by, value, "none of auto, avx512, boringssl");
}

static enum err set_helpers(struct options *o, const char *by, const char *value,
                            const struct why *why)
{
    static const char *const names[] = {[ENGINE_HELPERS_AUTO] = "auto",
                                        [ENGINE_HELPERS_OFF] = "off",
                                        [ENGINE_HELPERS_ALWAYS] = "always",
                                        NULL};
    unsigned i;
    enum err err = options_choose(&i, names, by, value, why);

    if (err == ERR_OK)
        o->helpers = (enum engine_helpers)i;
    return err;
}

static enum err set_source_ip(struct options *o, const char *by, const char *value,
                              const struct why *why)
{
    static const char *const names[] = {"mark", "resolve", NULL};
    unsigned i;
    enum err err = options_choose(&i, names, by, value, why);

    if (err == ERR_OK)
        o->source_resolve = i == 1;
    return err;
}

const struct setting options_engine[] = {
    {SETTING_PARSED, .name = "--tun", .set = set_tun},
    {SETTING_PARSED, .name = "--workers", .set = set_workers},
    {SETTING_PARSED, .name = "--io", .set = set_io},
    {SETTING_PARSED, .name = "--crypto", .set = set_crypto},
    {SETTING_PARSED, .name = "--helpers", .set = set_helpers},
    {SETTING_PARSED, .name = "--source-ip", .set = set_source_ip},
    {SETTING_OFF, .name = "--no-steering", .offset = offsetof(struct options, steering)},
    {SETTING_OFF, .name = "--no-offload", .offset = offsetof(struct options, offloads)},
    {.kind = SETTING_END},
};

void options_tunnel(struct tunnel_options *out, const struct options *o)
{
    *out = (struct tunnel_options){
        .tun_name = o->tun_name,
        .workers = o->workers,
        .io = o->io,
        .crypto = o->crypto,
        .helpers = o->helpers,
        .source_resolve = o->source_resolve,
        .steering = o->steering,
        .offloads = o->offloads,
        .udp_send_bytes = o->udp_send_bytes,
        .udp_recv_bytes = o->udp_recv_bytes,
    };
}
