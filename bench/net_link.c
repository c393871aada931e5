/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_link.h"

#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/net_cage.h"
#include "bench/net_clock.h"
#include "bench/net_command.h"
#include "bench/usage.h"
#include "tools/fzlink/value.h"

#define LINK_LOG    NET_CAGE_DIR "/fzlink.log"
#define CEILING_LOG NET_CAGE_DIR "/fzlink-ceiling.log"

enum {
    LOG_MAX = 1024,
    END_MAX = 128,
    START_MS = 5000,
    STOP_S = 5,
    CEILING_S = 30
};

enum err net_link_find(char *path, size_t size, struct why why)
{
    char own[NET_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);

    own[n > 0 ? n : 0] = '\0';
    int len = snprintf(path, size, "%s/fzlink", dirname(own));
    return n > 0 && len > 0 && (size_t)len < size && access(path, X_OK) == 0
               ? ERR_OK
               : why_fail(why, ERR_NOT_FOUND, "there is no fzlink beside fzbench: run make first");
}

/* What the log says; only its beginning if it is long. */
static const char *read_log(const char *name, char text[LOG_MAX])
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, LOG_MAX - 1) : -1;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static enum err fail_log(const char *what, const char *name, struct why why)
{
    char text[LOG_MAX];

    read_log(name, text);
    text[strcspn(text, "\n")] = '\0';
    return why_fail(why, ERR_IO, "fzlink %s: %s", what, text[0] ? text : "it said nothing");
}

/* ---- the link ---- */

static enum err wait_until_ready(pid_t pid, struct why why)
{
    uint64_t end = net_clock_now() + START_MS * NS_PER_MS;
    char text[LOG_MAX];

    while (strstr(read_log(LINK_LOG, text), "ready\n") == NULL) {
        if (net_link_check(pid, why) != ERR_OK)
            return fail_log("did not start", LINK_LOG, why);
        if (net_clock_now() >= end)
            return fail_log("did not get ready", LINK_LOG, why);
        net_clock_sleep(10 * NS_PER_MS);
    }
    return ERR_OK;
}

pid_t net_link_start(const struct net_link_config *config, struct why why)
{
    char ends[2][END_MAX], delay[VALUE_TEXT_MAX], loss[VALUE_TEXT_MAX];

    for (unsigned i = 0; i < 2; i++)
        snprintf(ends[i], sizeof ends[i], "/proc/1/fd/%d:%s:%s", config->ns[i], config->devices[i],
                 config->prefixes[i]);
    value_duration_format(config->setting->rtt / 2, delay);
    value_share_format(config->setting->loss, loss);
    unlink(LINK_LOG);
    pid_t pid = net_command_start(config->ns[0],
                                  NET_COMMAND(config->path, "--a", ends[0], "--b", ends[1],
                                              "--delay", delay, "--loss", loss, "--offloads",
                                              config->offloads ? "on" : "off"),
                                  LINK_LOG, why);
    if (pid > 0 && wait_until_ready(pid, why) != ERR_OK) {
        net_link_stop(pid);
        pid = -1;
    }
    return pid;
}

enum err net_link_check(pid_t pid, struct why why)
{
    siginfo_t info = {0};

    if (pid < 1 ||
        (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0))
        return ERR_OK;
    return fail_log("has ended", LINK_LOG, why);
}

void net_link_stop(pid_t pid)
{
    int status;

    if (pid < 1)
        return;
    kill(pid, SIGTERM);
    if (net_command_wait(pid, STOP_S, &status))
        return;
    usage_warn("net", "fzlink does not end on SIGTERM");
    net_command_kill(pid);
}

/* ---- what it can carry ---- */

/* The figure in the line of that name; 0: there is none. */
static double ceiling_of(const char *text, const char *name)
{
    char word[16];
    double packets, gbit;

    for (const char *line = text; *line != '\0'; line += line[0] == '\n') {
        if (sscanf(line, "%15s %lf packets/s %lf Gbit/s", word, &packets, &gbit) == 3 &&
            strcmp(word, name) == 0)
            return gbit;
        line += strcspn(line, "\n");
    }
    return 0;
}

enum err net_link_ceiling(double *gbit, const char *path, bool offloads, struct why why)
{
    char text[LOG_MAX];
    int status, ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    *gbit = 0;
    unlink(CEILING_LOG);
    pid_t pid = net_command_start(
        ns, NET_COMMAND(path, "--ceiling", "--seconds", "2", "--offloads", offloads ? "on" : "off"),
        CEILING_LOG, why);
    close(ns);
    if (pid < 1)
        return ERR_IO;
    if (!net_command_wait(pid, CEILING_S, &status)) {
        net_command_kill(pid);
        return why_fail(why, ERR_TIMEOUT, "fzlink --ceiling does not end");
    }
    read_log(CEILING_LOG, text);
    double udp = ceiling_of(text, "udp1500"), tcp = ceiling_of(text, "tcp");
    *gbit = udp < tcp ? udp : tcp;
    return *gbit > 0 ? ERR_OK : fail_log("--ceiling failed", CEILING_LOG, why);
}
