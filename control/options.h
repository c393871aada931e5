/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command lines of firezone-headless-client and firezone-gateway, and the environment: words to plain values. A flag counts more than a
 * variable, a variable more than the default; an empty variable is as one that is not set. Touches nothing but them. Control
 * role. Source: spec/platform.md 6.
 */
#ifndef FZ_CONTROL_OPTIONS_H
#define FZ_CONTROL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/portal/url.h"
#include "engine/engine.h"
#include "platform/base/err.h"
#include "platform/base/log.h"
#include "platform/base/time.h"
#include "platform/dns_control.h"
#include "platform/io.h"
#include "platform/tun.h"

#define OPTIONS_PROGRAM          "firezone-headless-client"
#define OPTIONS_PROGRAM_GATEWAY  "firezone-gateway"
#define OPTIONS_API_URL_DEFAULT  "wss://api.firezone.dev/"
#define OPTIONS_AUTH_URL_DEFAULT "https://app.firezone.dev"

enum {
    OPTIONS_WORKERS_MAX = 64,
    OPTIONS_UDP_BYTES_MAX = 1 << 30,
    OPTIONS_NAME_MAX = 255 /* of --firezone-name: what the portal stores */
};

enum options_program {
    OPTIONS_CLIENT,
    OPTIONS_GATEWAY
};

enum options_action {
    OPTIONS_HELP,           /* print `help` and succeed */
    OPTIONS_VERSION,        /* print the version and succeed */
    OPTIONS_RUN,            /* connect; with `check`: only look whether all is there for it */
    OPTIONS_SIGN_IN,        /* the `sign-in` command */
    OPTIONS_SIGN_OUT,       /* the `sign-out` command */
    OPTIONS_RUN_WIREGUARD,  /* the `wireguard` command */
    OPTIONS_CHECK_WIREGUARD /* only parse its configuration */
};

/* Text is static, an argument, or a variable's. */
struct options {
    enum options_action action;
    const char *help; /* for OPTIONS_HELP */

    /* How the tunnel works; all commands that run one. */
    char tun_name[TUN_NAME_MAX]; /* "": the default of the command */
    unsigned workers;            /* 0: one per usable CPU */
    enum io_backend io;
    enum crypt_backend crypto;
    enum engine_helpers helpers;
    bool source_resolve, steering, offloads;
    uint32_t udp_send_bytes, udp_recv_bytes; /* of socket buffers; 0: the default */

    /* Whom the system asks for names; the client and `wireguard`. */
    enum dns_method dns;
    const char *dns_asked; /* the flag or variable that gave it; NULL: whatever the system has */

    /* The log. */
    enum log_level log_level; /* of `wireguard` */
    const char
        *log_filter; /* of the others, as given: LEVEL or TARGET=LEVEL, with commas between */
    const char *log_filter_by; /* the flag or variable that gave it, for messages */
    enum log_format log_format;
    const char *log_dir; /* NULL: no files */

    /* The session with the portal. */
    struct url api;
    const char *ca_file;       /* NULL: the system's store alone */
    const char *token_path;    /* NULL: the well-known one */
    const char *firezone_id;   /* NULL: that of the machine */
    const char *firezone_name; /* NULL: the host's name */
    time_ns max_partition_ns;  /* TIME_NEVER: no limit */
    bool forward;              /* the gateway sees to forwarding and masquerading itself */
    bool permission_check;     /* before anything needs them */
    bool check, exit_when_up, internet_resource, raise_buffers, flow_logs;
    bool compat_exit;            /* a rejected token ends with the same code as any failure */
    const char *telemetry_asked; /* the flag or variable that asks for some; NULL: none */

    /* Commands. */
    const char *config_path;             /* wireguard */
    const char *auth_url, *account_slug; /* sign-in; slug NULL: none */
    bool force;                          /* sign-out */

    /* Only for parsing. */
    bool no_telemetry;
};

struct options_input {
    enum options_program program;
    int argc;
    char *const *argv; /* must outlive the options */
    /* A variable of the environment, NULL if it is not set; must outlive the options, too. */
    const char *(*lookup)(void *ctx, const char *name);
    void *ctx;
};

/* ERR_PARSE: wrong usage; `why` is one clear sentence that names the flag or variable and repeats nothing long or secret. */
enum err options_parse(struct options *out, const struct options_input *in, char *why,
                       unsigned why_size) MUST_USE;

/* What the options say about the tunnel; the name is borrowed from them. */
struct tunnel_options;
void options_tunnel(struct tunnel_options *out, const struct options *o);

#endif
