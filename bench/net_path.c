/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/net_cage.h"
#include "bench/net_clock.h"
#include "bench/net_dns_query.h"
#include "bench/net_log.h"
#include "bench/net_names.h"
#include "bench/usage.h"

#define RESOURCE    "10.20.0" /* the net of the host behind b */
#define PLAIN_RANGE "10.9.0.0/16"
#define LISTEN      NET_HOSTS_SERVER ":8081"
#define CLIENT      "firezone-headless-client"

enum {
    START_MS = 15000,
    PATH_MS = 15000, /* until the two ends have looked at all pairs of addresses */
    STOP_S = 5,
    FILE_MAX = 64
};

static const char listen_at[] = LISTEN, url[] = "ws://" LISTEN, resource[] = RESOURCE ".1/32";

/* The DNS server is nobody but while names are measured; with one, the machine's own are of no matter. */
static const char account[] =
    "[portal]\nseed = fzbench\n"
    "[dns]\nmode = custom\nservers = " NET_HOSTS_SERVER "\n"
    "[relay-token relays]\ntoken = .relay\n"
    "[client-token client]\ntoken = .client\n"
    "[gateway-token gateway]\ntoken = .gateway\nsite = S\n"
    "[site S]\n"
    "[resource N]\nsite = S\ntype = dns\naddress = " NET_DNS_PATTERN "\n"
    "[resource U]\nsite = S\ntype = dns\naddress = " NET_DNS_PATTERN_USED "\n"
    "[resource R]\nsite = S\n";
static const char by_address[] = "type = cidr\naddress = " RESOURCE ".0/24\n";
static const char by_name[] = "type = dns\nip_stack = ipv4_only\naddress = " NET_NAMES_SERVER "\n";

enum err net_path_find(struct net_path_programs *out, struct why why)
{
    const char *missing = NULL;

    if (!net_command_beside(out->gateway, sizeof out->gateway, "firezone-gateway"))
        missing = "firezone-gateway";
    else if (!net_command_beside(out->portal, sizeof out->portal, "fzportal"))
        missing = "fzportal";
    else if (!net_command_beside(out->relay, sizeof out->relay, "fzrelay"))
        missing = "fzrelay";
    return missing == NULL ? ERR_OK
                           : why_fail(why, ERR_NOT_FOUND,
                                      "there is no %s beside fzbench: run make first", missing);
}

static bool is_plain(const struct net_tunnel *t)
{
    return t->impl->kind != NET_FIREZONE;
}

/* ---- the path ---- */

/* The kind is what stands before the next colon. */
static bool copy_kind(char kind[NET_PATH_KIND_MAX], const char *text)
{
    size_t n = strcspn(text, ":");

    if (n == 0 || n >= NET_PATH_KIND_MAX || text[n] != ':')
        return false;
    snprintf(kind, NET_PATH_KIND_MAX, "%.*s", (int)n, text);
    return true;
}

bool net_path_parse(const char *line, char kind[NET_PATH_KIND_MAX])
{
    static const char connected[] = "connected to gateway ", changed[] = "the path to gateway ",
                      ended[] = "the connection to gateway ", now[] = " is now ";
    const char *at = strstr(line, connected);

    if (at != NULL) {
        at = strchr(at, ',');
        return at != NULL && at[1] == ' ' && copy_kind(kind, at + 2);
    }
    at = strstr(line, changed);
    if (at != NULL) {
        at = strstr(at, now);
        return at != NULL && copy_kind(kind, at + strlen(now));
    }
    if (strstr(line, ended) == NULL)
        return false;
    snprintf(kind, NET_PATH_KIND_MAX, "none");
    return true;
}

static bool fits(const struct net_tunnel *t, const char *kind)
{
    return t->impl->relayed ? strstr(kind, "relay") != NULL : strcmp(kind, "peer to peer") == 0;
}

static void see_latest(void *arg, const char *line)
{
    struct net_path *p = arg;
    char kind[NET_PATH_KIND_MAX];

    if (net_path_parse(line, kind))
        memcpy(p->kind, kind, sizeof p->kind);
}

/* The first that does not fit stays. */
static void see_change(void *arg, const char *line)
{
    struct net_path *p = arg;

    if (fits(p->tunnel, p->kind))
        see_latest(p, line);
}

static enum err fail_path(const struct net_path *p, struct why why)
{
    return why_fail(why, ERR_UNREACHABLE, "the path is not %s: the client says '%s'",
                    p->tunnel->impl->name, p->kind[0] != '\0' ? p->kind : "nothing");
}

static enum err wait_for_path(struct net_path *p, struct why why)
{
    uint64_t end = net_clock_now() + PATH_MS * NS_PER_MS;

    for (;;) {
        p->seen = net_log_read(p->tunnel->log[NET_A], p->seen, see_latest, p);
        if (fits(p->tunnel, p->kind))
            return ERR_OK;
        if (net_clock_now() >= end)
            return fail_path(p, why);
        net_clock_sleep(20 * NS_PER_MS);
    }
}

/* ---- starting ---- */

static enum err write_account(const char *file, const char *address, struct why why)
{
    FILE *f = fopen(file, "we");
    bool good = f != NULL && fputs(account, f) >= 0 && fputs(address, f) >= 0;

    if (f != NULL && fclose(f) != 0)
        good = false;
    return good ? ERR_OK : why_fail(why, ERR_IO, "cannot write %s: %s", file, strerror(errno));
}

/* Until the log of a program has this text. */
static enum err wait_for_text(pid_t pid, const char *name, const char *log, const char *text,
                              struct why why)
{
    uint64_t end = net_clock_now() + START_MS * NS_PER_MS;
    char last[NET_LOG_LINE_MAX];

    while (!net_log_has(log, text)) {
        bool runs = net_command_runs(pid);
        if (!runs || net_clock_now() >= end) {
            net_log_last(log, last);
            return why_fail(why, ERR_IO, "%s did not %s; the last that it said: %s", name,
                            runs ? "get ready" : "start", last);
        }
        net_clock_sleep(20 * NS_PER_MS);
    }
    return ERR_OK;
}

/* token: "": none. */
static enum err start(pid_t *pid, int ns, const char *const argv[], const char *token,
                      const char *log, struct why why)
{
    unlink(log);
    setenv("FIREZONE_TOKEN", token, 1);
    *pid = net_command_start(ns, argv, log, why);
    unsetenv("FIREZONE_TOKEN");
    return *pid > 0 ? ERR_OK : ERR_IO;
}

static enum err start_portal(struct net_path *p, const struct net_path_config *c, struct why why)
{
    char config[FILE_MAX], control[FILE_MAX], log[FILE_MAX];

    snprintf(config, sizeof config, NET_CAGE_DIR "/portal%u.ini", c->index);
    snprintf(control, sizeof control, NET_CAGE_DIR "/portal%u.sock", c->index);
    snprintf(log, sizeof log, NET_CAGE_DIR "/portal%u.log", c->index);
    enum err err = write_account(config, c->impl->by_name ? by_name : by_address, why);
    if (err == ERR_OK)
        err = start(&p->portal, p->hosts.rig.server,
                    NET_COMMAND(c->programs->portal, "--config", config, "--control", control,
                                "--listen", listen_at),
                    "", log, why);
    return err == ERR_OK ? wait_for_text(p->portal, "fzportal", log, "ready", why) : err;
}

static enum err start_relay(struct net_path *p, const struct net_path_config *c, struct why why)
{
    char control[FILE_MAX], log[FILE_MAX];

    snprintf(control, sizeof control, NET_CAGE_DIR "/relay%u.sock", c->index);
    snprintf(log, sizeof log, NET_CAGE_DIR "/relay%u.log", c->index);
    enum err err = start(&p->relay, p->hosts.rig.server,
                         NET_COMMAND(c->programs->relay, "--public-ip4", NET_HOSTS_SERVER,
                                     "--portal-url", url, "--control", control),
                         ".relay", log, why);
    return err == ERR_OK ? wait_for_text(p->relay, "fzrelay", log, "signed in", why) : err;
}

static enum err start_end(struct net_tunnel *t, enum net_side side, const struct net_path_config *c,
                          struct why why)
{
    const bool client = side == NET_A;
    const char *name = client ? "client" : "gateway";
    char workers[16];
    /* The log's level may come from the environment, and the path is read from it. */
    const char *argv[24] = {client ? c->client : c->programs->gateway,
                            "--tun",
                            t->device[side],
                            "--api-url",
                            url,
                            "--firezone-id",
                            name,
                            "--firezone-name",
                            name,
                            "--log-level",
                            "info",
                            "--log-format",
                            "text"};
    size_t n = 13;

    /* The machine's own resolvers and limits are not theirs. */
    if (client) {
        argv[n++] = "--dns-control";
        argv[n++] = "disabled";
    } else {
        argv[n++] = "--no-inc-buf";
    }
    if (c->workers > 0) {
        snprintf(workers, sizeof workers, "%u", c->workers);
        argv[n++] = "--workers";
        argv[n++] = workers;
    }
    enum err err = start(&t->pids[side], t->rig->ns[side], argv, client ? ".client" : ".gateway",
                         t->log[side], why);
    return err == ERR_OK ? wait_for_text(t->pids[side], client ? CLIENT : "firezone-gateway",
                                         t->log[side], "is up: ", why)
                         : err;
}

/* The client's address in the tunnel, which the portal has chosen. */
static enum err find_inner(struct net_tunnel *t, struct why why)
{
    struct ifreq request = {0};
    int fd = net_rig_socket(t->rig, NET_A, SOCK_DGRAM);

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", t->device[NET_A]);
    bool good = fd >= 0 && ioctl(fd, SIOCGIFADDR, &request) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (!good)
        return why_fail(why, ERR_IO, "the client's tunnel has no address: %s", strerror(error));
    struct sockaddr_in a;
    memcpy(&a, &request.ifr_addr, sizeof a);
    ASSERT(inet_ntop(AF_INET, &a.sin_addr, t->inner[NET_A], sizeof t->inner[NET_A]) != NULL);
    return ERR_OK;
}

static enum err start_firezone(struct net_path *p, struct net_tunnel *t,
                               const struct net_path_config *c, struct why why)
{
    enum err err = ERR_OK;

    snprintf(t->inner[NET_B], sizeof t->inner[NET_B], "%s",
             c->behind ? NET_HOSTS_BEHIND : RESOURCE ".1");
    memcpy(t->server, t->inner[NET_B], sizeof t->server);
    if (!c->behind)
        err = net_command_run(t->rig->ns[NET_B],
                              NET_COMMAND("ip", "address", "add", resource, "dev", "lo"), why);
    if (err == ERR_OK)
        err = start_portal(p, c, why);
    if (err == ERR_OK)
        err = start_relay(p, c, why);
    if (err == ERR_OK)
        err = start_end(t, NET_B, c, why);
    if (err == ERR_OK)
        err = start_end(t, NET_A, c, why);
    if (err == ERR_OK)
        err = find_inner(t, why);
    if (err == ERR_OK && c->impl->by_name)
        err = net_names_find(t, NET_NAMES_SERVER, why);
    if (err == ERR_OK)
        err = net_tunnel_wait(t, why);
    if (err == ERR_OK)
        err = wait_for_path(p, why);
    return err;
}

/* The gateway forwards by itself what comes out of the tunnel, and masquerades it. */
static enum err start_plain(struct net_path *p, struct net_tunnel *t,
                            const struct net_path_config *c, struct why why)
{
    const struct net_tunnel_config config = {.rig = &p->hosts.rig,
                                             .impl = c->impl,
                                             .path = c->client,
                                             .index = c->index,
                                             .mtu = NET_MTU_FIREZONE,
                                             .workers = c->workers};
    enum err err = net_hosts_masquerade(&p->hosts, t->device[NET_B], PLAIN_RANGE, why);

    return err == ERR_OK ? net_tunnel_start(t, &config, why) : err;
}

enum err net_path_start(struct net_path *p, struct net_tunnel *t,
                        const struct net_path_config *config, struct why why)
{
    const struct net_hosts_config hosts = {
        .relayed = config->impl->relayed, .behind = config->behind, .offloads = config->offloads};

    *p = (struct net_path){.tunnel = t};
    *t = (struct net_tunnel){.impl = config->impl, .rig = &p->hosts.rig, .index = config->index};
    for (unsigned side = 0; side < NET_SIDES; side++) {
        snprintf(t->device[side], sizeof t->device[side], "fz%u%c", t->index, "ab"[side]);
        snprintf(t->log[side], sizeof t->log[side], NET_CAGE_DIR "/%s.log", t->device[side]);
    }
    enum err err = net_hosts_init(&p->hosts, &hosts, why);
    if (err != ERR_OK)
        return err;
    err = is_plain(t) ? start_plain(p, t, config, why) : start_firezone(p, t, config, why);
    t->up = err == ERR_OK;
    if (config->impl->relayed)
        t->relay = p->relay;
    if (err != ERR_OK)
        net_path_stop(p, t);
    return err;
}

enum err net_path_check(struct net_path *p, struct why why)
{
    enum err err = net_tunnel_check(p->tunnel, why);

    if (err != ERR_OK || is_plain(p->tunnel))
        return err;
    if (!net_command_runs(p->portal) || !net_command_runs(p->relay))
        return why_fail(why, ERR_IO, "%s has ended",
                        net_command_runs(p->portal) ? "fzrelay" : "fzportal");
    p->seen = net_log_read(p->tunnel->log[NET_A], p->seen, see_change, p);
    return fits(p->tunnel, p->kind) ? ERR_OK : fail_path(p, why);
}

/* ---- stopping ---- */

static void stop(pid_t pid, const char *name)
{
    int status = 0;

    if (pid < 1)
        return;
    kill(pid, SIGTERM);
    if (net_command_wait(pid, STOP_S, &status))
        return;
    usage_warn("net", "%s does not end on SIGTERM", name);
    net_command_kill(pid);
}

void net_path_stop(struct net_path *p, struct net_tunnel *t)
{
    if (p->tunnel == NULL) /* never started */
        return;
    net_tunnel_stop(t);
    stop(p->relay, "fzrelay");
    stop(p->portal, "fzportal");
    net_hosts_fini(&p->hosts);
    *p = (struct net_path){0};
}
