/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/curve25519.h>

#include "bench/net_cage.h"
#include "bench/net_clock.h"
#include "bench/net_command.h"
#include "bench/net_log.h"
#include "bench/usage.h"
#include "control/key_text.h"
#include "platform/base/bytes.h"

enum {
    ARGS_MAX = 64,
    FLAGS_MAX = 1024, /* bytes of more options */
    TEXT_MAX = 1024,  /* of a configuration */
    PORT_BASE = 51820,
    START_MS = 10000,
    INNER_MAX = 16,
    STOP_S = 5
};

struct key_pair {
    uint8_t public_key[KEY_LEN], private_key[KEY_LEN];
};

/* ---- programs ---- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* The folder of this program. */
static bool own_folder(char folder[NET_PATH_MAX])
{
    char path[NET_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

    if (n < 0)
        return false;
    path[n] = '\0';
    snprintf(folder, NET_PATH_MAX, "%s", dirname(path));
    return true;
}

/* Programs are in the build folder and in a folder of their variant in it. */
static bool find_wireguard_go(char *path, size_t size, const char *folder)
{
    static const char *const below[] = {"deps", "../deps"};
    const char *deps = getenv("DEPS");

    if (deps != NULL && snprintf(path, size, "%s/tools/bin/wireguard-go", deps) < (int)size &&
        is_program(path))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(below); i++) {
        if (snprintf(path, size, "%s/%s/tools/bin/wireguard-go", folder, below[i]) < (int)size &&
            is_program(path))
            return true;
    }
    return net_command_find(path, size, "wireguard-go");
}

enum err net_tunnel_find(char *path, size_t size, const struct net_impl *impl, struct why why)
{
    char folder[NET_PATH_MAX];
    const char *client = "firezone-headless-client";

    if (impl->path != NULL) {
        int n = snprintf(path, size, "%s", impl->path);
        return n < (int)size && is_program(path)
                   ? ERR_OK
                   : why_fail(why, ERR_NOT_FOUND, "%s: %s is not a program that can be run",
                              impl->name, impl->path);
    }
    if (!own_folder(folder))
        return why_fail(why, ERR_IO, "cannot find out where fzbench is: %s", strerror(errno));
    if (impl->kind != NET_WIREGUARD_GO)
        return net_command_beside(path, size, client)
                   ? ERR_OK
                   : why_fail(why, ERR_NOT_FOUND,
                              "there is no %s in %s: run make first, or use --client PATH", client,
                              folder);
    return find_wireguard_go(path, size, folder)
               ? ERR_OK
               : why_fail(why, ERR_NOT_FOUND,
                          "there is no wireguard-go: run 'tools/deps.sh check', install the "
                          "package wireguard-go, or use --rival PATH");
}

/* ---- configuration ---- */

static uint16_t port_of(const struct net_tunnel *t, enum net_side side)
{
    return (uint16_t)(PORT_BASE + 2 * t->index + side);
}

/* The end's own address in the tunnel. */
static void own_address(const struct net_tunnel *t, enum net_side side, char out[INNER_MAX])
{
    snprintf(out, INNER_MAX, "10.9.%u.%u", t->index, side + 1);
}

static enum err write_config(const struct net_tunnel *t, enum net_side side,
                             const struct key_pair keys[NET_SIDES], unsigned mtu, const char *path,
                             struct why why)
{
    enum net_side peer = net_side_other(side);
    char own[KEY_BASE64_LEN + 1], other[KEY_BASE64_LEN + 1], address[INNER_MAX];
    FILE *f = fdopen(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), "w");

    if (f == NULL)
        return why_fail(why, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    key_base64_encode(own, keys[side].private_key);
    key_base64_encode(other, keys[peer].public_key);
    own_address(t, side, address);
    fprintf(f,
            "[Interface]\nPrivateKey = %s\nListenPort = %u\nAddress = %s/24\nMTU = %u\n"
            "[Peer]\nPublicKey = %s\nAllowedIPs = %s/32\nEndpoint = %s:%u\n",
            own, port_of(t, side), address, mtu, other, t->inner[peer], t->rig->address[peer],
            port_of(t, peer));
    bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad)
        return why_fail(why, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return ERR_OK;
}

static int api_connect(const struct net_tunnel *t, enum net_side side)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof a.sun_path, NET_CAGE_DIR "/%s.sock", t->device[side]);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Configures a userspace WireGuard as `wg setconf` does. */
static enum err api_set(const struct net_tunnel *t, enum net_side side,
                        const struct key_pair keys[NET_SIDES], struct why why)
{
    enum net_side peer = net_side_other(side);
    char own[KEY_HEX_LEN + 1], other[KEY_HEX_LEN + 1], answer[64] = "";
    int fd = api_connect(t, side);

    if (fd < 0)
        return why_fail(why, ERR_IO, "%s does not take its configuration: %s", t->impl->name,
                        strerror(errno));
    key_hex_encode(own, keys[side].private_key);
    key_hex_encode(other, keys[peer].public_key);
    dprintf(fd,
            "set=1\nprivate_key=%s\nlisten_port=%u\nreplace_peers=true\npublic_key=%s\n"
            "endpoint=%s:%u\nallowed_ip=%s/32\n\n",
            own, port_of(t, side), other, t->rig->address[peer], port_of(t, peer), t->inner[peer]);
    ssize_t n = read(fd, answer, sizeof answer - 1);
    close(fd);
    if (n < 8 || memcmp(answer, "errno=0\n", 8) != 0)
        return why_fail(why, ERR_IO, "%s refuses its configuration: %.20s", t->impl->name, answer);
    return ERR_OK;
}

/* ---- starting ---- */

enum err net_tunnel_fail(const struct net_tunnel *t, enum net_side side, const char *what,
                         struct why why)
{
    char last[NET_LOG_LINE_MAX];

    net_log_last(t->log[side], last);
    return why_fail(why, ERR_IO, "%s %s; the last that it said: %s", t->impl->name, what, last);
}

enum err net_tunnel_check(const struct net_tunnel *t, struct why why)
{
    for (unsigned side = 0; side < NET_SIDES; side++) {
        if (!net_command_runs(t->pids[side]))
            return net_tunnel_fail(t, (enum net_side)side, "has ended", why);
    }
    return ERR_OK;
}

static enum err start_ours(struct net_tunnel *t, enum net_side side,
                           const struct key_pair keys[NET_SIDES], const struct net_tunnel_config *c,
                           struct why why)
{
    char config[64], workers[16], flags[FLAGS_MAX], *rest = flags;
    const char *argv[ARGS_MAX] = {c->path, "wireguard", "--config",
                                  config,  "--tun",     t->device[side]};
    size_t n = 6;

    snprintf(config, sizeof config, NET_CAGE_DIR "/%s.conf", t->device[side]);
    enum err err = write_config(t, side, keys, c->mtu, config, why);
    if (err != ERR_OK)
        return err;
    if (c->workers > 0) {
        snprintf(workers, sizeof workers, "%u", c->workers);
        argv[n++] = "--workers";
        argv[n++] = workers;
    }
    const char *more = t->impl->flags != NULL ? t->impl->flags : "";
    if (snprintf(flags, sizeof flags, "%s", more) >= (int)sizeof flags)
        return why_fail(why, ERR_NO_SPACE, "%s: too many flags", t->impl->name);
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL;) {
        if (n == ARGS_MAX - 1)
            return why_fail(why, ERR_NO_SPACE, "%s: too many flags", t->impl->name);
        argv[n++] = word;
    }
    t->pids[side] = net_command_start(t->rig->ns[side], argv, t->log[side], why);
    return t->pids[side] > 0 ? ERR_OK : ERR_IO;
}

static enum err start_wireguard_go(struct net_tunnel *t, enum net_side side, const char *path,
                                   struct why why)
{
    setenv("LOG_LEVEL", "error", 1);
    t->pids[side] = net_command_start(t->rig->ns[side], NET_COMMAND(path, "-f", t->device[side]),
                                      t->log[side], why);
    return t->pids[side] > 0 ? ERR_OK : ERR_IO;
}

/* Until it serves its socket. */
static enum err wait_for_api(const struct net_tunnel *t, enum net_side side, struct why why)
{
    uint64_t end = net_clock_now() + START_MS * NS_PER_MS;

    for (;;) {
        int fd = api_connect(t, side);
        if (fd >= 0) {
            close(fd);
            return ERR_OK;
        }
        if (!net_command_runs(t->pids[side]))
            return net_tunnel_fail(t, side, "did not start", why);
        if (net_clock_now() >= end)
            return net_tunnel_fail(t, side, "did not get ready", why);
        net_clock_sleep(20 * NS_PER_MS);
    }
}

/* What wg-quick does for a foreign implementation; ours does it itself. */
static enum err set_up_foreign(const struct net_tunnel *t, enum net_side side,
                               const struct key_pair keys[NET_SIDES], unsigned mtu, struct why why)
{
    char own[INNER_MAX], address[24], mtu_text[16];
    const char *device = t->device[side];

    own_address(t, side, own);
    snprintf(address, sizeof address, "%s/24", own);
    snprintf(mtu_text, sizeof mtu_text, "%u", mtu);
    enum err err = api_set(t, side, keys, why);
    if (err == ERR_OK)
        err = net_command_run(t->rig->ns[side],
                              NET_COMMAND("ip", "address", "add", address, "dev", device), why);
    if (err == ERR_OK)
        err = net_command_run(t->rig->ns[side],
                              NET_COMMAND("ip", "link", "set", device, "mtu", mtu_text, "up"), why);
    return err;
}

int net_tunnel_server(const struct net_tunnel *t, int type)
{
    int fd = net_rig_socket(t->rig, NET_B, type);

    if (fd >= 0 && !net_rig_bind(fd, t->server, 0)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

bool net_tunnel_connect(const struct net_tunnel *t, int client, int server)
{
    return net_rig_connect(client, t->inner[NET_B], net_rig_port(server));
}

/* A datagram came within 200 ms and a round trip. */
static bool comes(const struct net_tunnel *t, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int rtt_ms = t->rig->link ? (int)(t->rig->link->rtt / NS_PER_MS) : 0;

    return poll(&p, 1, 200 + rtt_ms) == 1;
}

/* Sends back one that has come. */
static bool answer(int fd)
{
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    char data[8];

    ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &len);
    return n > 0 && sendto(fd, data, (size_t)n, 0, (const struct sockaddr *)&from, len) == n;
}

/* One datagram to b and back, on a fresh pair of sockets. */
static bool probe(const struct net_tunnel *t)
{
    int tx = net_rig_socket(t->rig, NET_A, SOCK_DGRAM), rx = net_tunnel_server(t, SOCK_DGRAM);
    bool came = tx >= 0 && rx >= 0 && net_tunnel_connect(t, tx, rx) &&
                send(tx, "probe", 5, 0) == 5 && comes(t, rx) && answer(rx) && comes(t, tx);

    if (tx >= 0)
        close(tx);
    if (rx >= 0)
        close(rx);
    return came;
}

enum err net_tunnel_wait(const struct net_tunnel *t, struct why why)
{
    uint64_t end = net_clock_now() + START_MS * NS_PER_MS;

    while (!probe(t)) {
        enum err err = net_tunnel_check(t, why);
        if (err != ERR_OK)
            return err;
        if (net_clock_now() >= end)
            return net_tunnel_fail(t, NET_A, "lets no packet through", why);
        net_clock_sleep(20 * NS_PER_MS);
    }
    return ERR_OK;
}

enum err net_tunnel_start(struct net_tunnel *t, const struct net_tunnel_config *config,
                          struct why why)
{
    const bool ours = config->impl->kind == NET_OURS;
    struct key_pair keys[NET_SIDES];
    enum err err = ERR_OK;

    *t = (struct net_tunnel){.impl = config->impl, .rig = config->rig, .index = config->index};
    for (unsigned side = 0; side < NET_SIDES; side++) {
        X25519_keypair(keys[side].public_key, keys[side].private_key);
        snprintf(t->device[side], sizeof t->device[side], "fz%u%c", t->index, "ab"[side]);
        own_address(t, (enum net_side)side, t->inner[side]);
        snprintf(t->log[side], sizeof t->log[side], NET_CAGE_DIR "/%s.log", t->device[side]);
        unlink(t->log[side]);
    }
    if (config->rig->behind >= 0)
        snprintf(t->inner[NET_B], sizeof t->inner[NET_B], "%s", config->rig->behind_address);
    memcpy(t->server, t->inner[NET_B], sizeof t->server);
    for (unsigned i = 0; err == ERR_OK && i < NET_SIDES; i++)
        err = ours ? start_ours(t, (enum net_side)i, keys, config, why)
                   : start_wireguard_go(t, (enum net_side)i, config->path, why);
    for (unsigned i = 0; err == ERR_OK && i < NET_SIDES; i++) {
        err = wait_for_api(t, (enum net_side)i, why);
        if (err == ERR_OK && !ours)
            err = set_up_foreign(t, (enum net_side)i, keys, config->mtu, why);
    }
    if (err == ERR_OK)
        err = net_tunnel_wait(t, why);
    t->up = err == ERR_OK;
    secure_wipe(keys, sizeof keys);
    if (err != ERR_OK)
        net_tunnel_stop(t);
    return err;
}

/* ---- stopping ---- */

static void say_warning(void *arg, const char *line)
{
    const struct net_tunnel *t = arg;

    /* Of the options that it was given nothing is odd. */
    if (t->impl->kind == NET_FIREZONE && strstr(line, " --dns-control: ") != NULL)
        return;
    if (strstr(line, " WARN ") != NULL || strstr(line, "ERROR ") != NULL)
        usage_warn("net", "%s logged: %s", t->impl->name, line);
}

static void stop_end(const struct net_tunnel *t, enum net_side side)
{
    int status = 0;

    if (!net_command_wait(t->pids[side], STOP_S, &status)) {
        usage_warn("net", "%s does not end on SIGTERM", t->impl->name);
        net_command_kill(t->pids[side]);
    } else if (WIFSIGNALED(status)) {
        if (!t->up && WTERMSIG(status) == SIGTERM)
            return; /* before it could know what to do about it */
        usage_warn("net", "%s ended by signal %d", t->impl->name, WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        usage_warn("net", "%s ended with exit code %d", t->impl->name, WEXITSTATUS(status));
    }
}

void net_tunnel_stop(struct net_tunnel *t)
{
    bool ran[NET_SIDES]; /* what had ended by itself is somebody else's message */

    for (unsigned side = 0; side < NET_SIDES; side++) {
        ran[side] = net_command_runs(t->pids[side]);
        if (ran[side])
            kill(t->pids[side], SIGTERM);
    }
    for (unsigned side = 0; side < NET_SIDES; side++) {
        if (ran[side]) {
            stop_end(t, (enum net_side)side);
            if (t->impl->kind != NET_WIREGUARD_GO)
                (void)net_log_read(t->log[side], 0, say_warning, t);
        } else {
            net_command_kill(t->pids[side]);
        }
        t->pids[side] = 0;
    }
}
