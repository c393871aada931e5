/* SPDX-License-Identifier: Apache-2.0 */
#include "control/wireguard.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/config.h"
#include "control/options.h"
#include "control/report.h"
#include "control/tunnel.h"
#include "control/uapi_server.h"
#include "control/wireguard_dns.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/dns_control.h"
#include "platform/loop.h"
#include "platform/netwatch.h"
#include "platform/process.h"
#include "platform/routes.h"
#include "platform/service.h"

struct app {
    struct loop *loop;
    struct tunnel *tunnel;
    struct netwatch *netwatch;
    struct uapi_server *uapi;
    struct wireguard_dns *dns;
    char why[REPORT_WHY_MAX]; /* it ends; "": it was told to */
};

/* Signals */

static void on_stop(void *arg)
{
    struct app *app = arg;
    loop_stop(app->loop);
}

static void on_gone(void *arg)
{
    struct app *app = arg;
    snprintf(app->why, sizeof app->why, "the TUN device %s has been taken away",
             tunnel_name(app->tunnel));
    loop_stop(app->loop);
}

static void on_failed(void *arg, const char *why)
{
    struct app *app = arg;
    snprintf(app->why, sizeof app->why, "%s", why);
    loop_stop(app->loop);
}

static void roam(struct app *app, const char *why)
{
    enum err err = tunnel_roam(app->tunnel);

    if (err != ERR_OK)
        log_error("main", "no new sockets after %s: %s", why, err_text(err));
}

static void on_hangup(void *arg)
{
    struct app *app = arg;

    if (!app->tunnel)
        return;
    netwatch_handled(app->netwatch);
    roam(app, "SIGHUP");
}

static void on_counters(void *arg)
{
    struct app *app = arg;
    if (app->tunnel)
        tunnel_log_counters(app->tunnel);
}

static enum err add_signals(struct app *app)
{
    static const struct {
        int signo;
        loop_fn cb;
    } signals[] = {
        {SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_hangup}, {SIGUSR1, on_counters}};
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(signals) && err == ERR_OK; i++)
        err = loop_add_signal(app->loop, signals[i].signo, signals[i].cb, app);
    return err;
}

/* The system's DNS */

/* What the servers in the tunnel cannot be asked for is how to reach them, so that comes first. */
static enum err take_dns(struct app *app, char *why, unsigned why_size)
{
    if (tunnel_names_wait(app->tunnel))
        return ERR_OK;
    return wireguard_dns_apply(app->dns, tunnel_name(app->tunnel), tunnel_ifindex(app->tunnel), why,
                               why_size);
}

static void on_named(void *arg)
{
    struct app *app = arg;
    char why[REPORT_WHY_MAX];

    if (take_dns(app, why, sizeof why) == ERR_OK)
        return;
    snprintf(app->why, sizeof app->why, "%s", why);
    loop_stop(app->loop);
}

/* The host's network */

static void on_ways(void *arg)
{
    struct app *app = arg;
    tunnel_ways_changed(app->tunnel);
}

static void on_settled(void *arg)
{
    (void)arg;
}

static void on_moved(void *arg, const char *why)
{
    log_info("main", "%s: new sockets", why);
    roam(arg, "a change of network");
}

static enum err watch_network(struct app *app, char *why, unsigned why_size)
{
    static const struct netwatch_events events = {on_ways, on_settled, on_moved};
    const struct netwatch_config config = {.network_manager = true};
    enum err err = netwatch_new(&app->netwatch, app->loop, &config, &events, app, why, why_size);

    if (err == ERR_OK)
        netwatch_set_tun(app->netwatch, tunnel_ifindex(app->tunnel));
    return err;
}

/* The userspace API */

static void api_applied(void *arg, enum err err)
{
    uapi_server_applied(arg, err);
}

static void api_apply(void *ctx, struct device_update *update, struct uapi_pending *pending)
{
    struct app *app = ctx;
    tunnel_apply_give(app->tunnel, update, api_applied, pending);
}

static void api_status(void *ctx, struct device_status *out)
{
    struct app *app = ctx;
    tunnel_status(app->tunnel, out);
}

/* False: another process serves this name. Without the right to create the socket the tunnel runs without it. */
static bool api_start(struct app *app, char *why, unsigned why_size)
{
    const struct uapi_server_ops ops = {.apply_give = api_apply, .status = api_status, .ctx = app};
    enum err err = uapi_server_new(&app->uapi, app->loop, UAPI_SERVER_DIR, tunnel_name(app->tunnel),
                                   &ops, why, why_size);

    if (err == ERR_OK)
        return true;
    if (err == ERR_IN_USE)
        return false;
    log_warn("main", "%s; 'wg' cannot reach this tunnel", why);
    return true;
}

/* The tunnel */

static void log_notices(const struct config *config)
{
    for (size_t i = 0; i < config->notices_n; i++)
        log_warn("config", "%s", config->notices[i]);
}

static enum err start(struct app *app, const struct options *o, struct config *config, char *why,
                      unsigned why_size)
{
    struct tunnel_options options;
    enum err err = loop_new(&app->loop);

    options_tunnel(&options, o);
    options.gone = on_gone;
    options.gone_arg = app;
    options.failed = on_failed;
    options.failed_arg = app;
    options.named = on_named;
    options.named_arg = app;
    /* Before any thread exists, so that all of them inherit the blocked signals. */
    if (err == ERR_OK)
        err = add_signals(app);
    if (err != ERR_OK) {
        snprintf(why, why_size, "cannot set up the event loop: %s", err_text(err));
        return err;
    }
    routes_recover();
    dns_control_recover();
    if (wireguard_dns_new(&app->dns, app->loop, o, &config->dns, why, why_size) != ERR_OK)
        return ERR_UNSUPPORTED;
    snprintf(why, why_size, "cannot start the tunnel");
    err = tunnel_new(&app->tunnel, app->loop, config, &options, why, why_size);
    config_fini(config); /* the private key is the tunnel's now */
    if (err == ERR_OK)
        err = watch_network(app, why, why_size);
    if (err == ERR_OK && !api_start(app, why, why_size))
        err = ERR_IN_USE;
    return err == ERR_OK ? take_dns(app, why, why_size) : err;
}

static int run(const struct options *o, struct config *config)
{
    struct app app = {0};
    int code = EXIT_SUCCESS;

    if (start(&app, o, config, app.why, sizeof app.why) != ERR_OK) {
        code = report_failure("%s", app.why);
    } else {
        app.why[0] = '\0';
        log_info("main", "%s", tunnel_summary(app.tunnel));
        service_ready(tunnel_summary(app.tunnel));
        enum err err = loop_run(app.loop);
        if (err != ERR_OK)
            code = report_failure("the event loop failed: %s", err_text(err));
        else if (app.why[0])
            code = report_failure("%s", app.why);
        service_stopping();
    }
    wireguard_dns_free(app.dns);
    uapi_server_free(app.uapi);
    netwatch_free(app.netwatch);
    if (app.tunnel)
        tunnel_free(app.tunnel);
    loop_free(app.loop);
    return code;
}

int wireguard_main(const struct options *o)
{
    struct config config;
    char why[REPORT_WHY_MAX];
    int code;

    if (config_load(&config, o->config_path, why, sizeof why) != ERR_OK)
        return report_failure("%s", why);
    log_notices(&config);
    if (o->action == OPTIONS_CHECK_WIREGUARD)
        code = report_text("the configuration is valid\n");
    else if (!process_may_configure_network())
        code = report_failure(PROCESS_NETWORK_HINT);
    else
        code = run(o, &config);
    config_fini(&config);
    return code;
}
