/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_link.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/net_cage.h"
#include "bench/net_clock.h"
#include "bench/net_command.h"
#include "bench/usage.h"
#include "platform/base/bytes.h"
#include "tools/fzlink/lane.h"
#include "tools/fzlink/value.h"

#define LINK_LOG    NET_CAGE_DIR "/fzlink.log"
#define CEILING_LOG NET_CAGE_DIR "/fzlink-ceiling.log"
#define STATS_LOG   NET_CAGE_DIR "/fzlink-stats.log"
#define CONTROL     NET_CAGE_DIR "/fzlink.sock"
#define READY       "ready"
#define ERROR_START "fzlink: "

enum {
    LOG_MAX = 3072,
    NOTE_MAX = 160,
    END_MAX = 128,
    START_MS = 5000,
    STOP_S = 5,
    STATS_S = 10,
    CEILING_S = 30
};

enum err net_link_find(char *path, size_t size, struct why why)
{
    return net_command_beside(path, size, "fzlink")
               ? ERR_OK
               : why_fail(why, ERR_NOT_FOUND, "there is no fzlink beside fzbench: run make first");
}

/* What the log says; only its end if it is long. */
static const char *read_log(const char *name, char text[LOG_MAX])
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
    off_t at = size > LOG_MAX - 1 ? size - (LOG_MAX - 1) : 0;
    ssize_t n = size >= 0 ? pread(fd, text, LOG_MAX - 1, at) : -1;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* The last error in the text; else its last line that says anything; NULL: there is none. Cuts the text into its lines. */
static const char *last_error(char *text)
{
    const char *error = NULL, *other = NULL;
    char *rest = text, *line;

    while ((line = strsep(&rest, "\n"))) {
        if (strncmp(line, ERROR_START, strlen(ERROR_START)) == 0)
            error = line + strlen(ERROR_START);
        else if (line[0] != '\0' && strcmp(line, READY) != 0)
            other = line;
    }
    return error ? error : other;
}

static enum err fail_log(const char *what, const char *name, struct why why)
{
    char text[LOG_MAX];

    read_log(name, text);
    const char *error = last_error(text);
    return why_fail(why, ERR_IO, "fzlink %s: %s", what, error ? error : "it said nothing");
}

/* ---- the link ---- */

static enum err wait_until_ready(pid_t pid, struct why why)
{
    uint64_t end = net_clock_now() + START_MS * NS_PER_MS;
    char text[LOG_MAX];

    while (strstr(read_log(LINK_LOG, text), READY "\n") == NULL) {
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
    pid_t pid = net_command_start(
        config->ns[0],
        NET_COMMAND(config->path, "--a", ends[0], "--b", ends[1], "--delay", delay, "--loss", loss,
                    "--offloads", config->offloads ? "on" : "off", "--control", CONTROL),
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

/* Runs fzlink itself, to its end. Success is exit code 0. */
static enum err run_here(const char *const argv[], const char *log, double seconds,
                         const char *what, struct why why)
{
    int status, ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    unlink(log);
    pid_t pid = net_command_start(ns, argv, log, why);
    close(ns);
    if (pid < 1)
        return ERR_IO;
    if (!net_command_wait(pid, seconds, &status)) {
        net_command_kill(pid);
        return why_fail(why, ERR_TIMEOUT, "fzlink %s does not end", what);
    }
    return status == 0 ? ERR_OK : fail_log(what, log, why);
}

/* ---- what it did that it was not told to ---- */

/* Those of `fzlink ctl stats`. Without a rate there is no queue that may be full. */
static const char *const own_drops[] = {"dropped_queue", "dropped_full", "overruns", "refused",
                                        "malformed"};

/* False: that is no answer. */
static bool sum_drops(uint64_t *n, const char *answer)
{
    static const char *const directions[] = {"a_to_b", "b_to_a"};
    json_t *json = json_loads(answer, 0, NULL);
    bool good = json != NULL;

    *n = 0;
    for (unsigned d = 0; d < ARRAY_LEN(directions); d++) {
        const json_t *counters = json_object_get(json, directions[d]);
        for (unsigned i = 0; i < ARRAY_LEN(own_drops); i++) {
            const json_t *counter = json_object_get(counters, own_drops[i]);
            good = good && json_is_integer(counter);
            *n += (uint64_t)json_integer_value(counter);
        }
    }
    json_decref(json);
    return good;
}

enum err net_link_drops(uint64_t *n, const char *path, struct why why)
{
    char text[LOG_MAX];

    *n = 0;
    enum err err = run_here(NET_COMMAND(path, "ctl", "--control", CONTROL, "stats"), STATS_LOG,
                            STATS_S, "ctl stats", why);
    if (err != ERR_OK)
        return err;
    return sum_drops(n, read_log(STATS_LOG, text))
               ? ERR_OK
               : why_fail(why, ERR_PARSE, "fzlink ctl stats: the answer is not understood");
}

void net_link_mark(struct result *r, const char *part, const char *setting, uint64_t drops)
{
    char start[64], middle[128], note[NOTE_MAX];

    if (drops == 0)
        return;
    snprintf(start, sizeof start, "net/%s/", part);
    snprintf(middle, sizeof middle, "/%s/", setting);
    for (size_t i = 0; i < r->n; i++) {
        const struct result_row *row = &r->rows[i];
        if (strncmp(row->name, start, strlen(start)) != 0 || !strstr(row->name, middle))
            continue;
        snprintf(note, sizeof note, "%.64s%sfzlink dropped %" PRIu64 " packets of its own accord",
                 row->note ? row->note : "", row->note ? "; " : "", drops);
        result_note(r, row->name, note);
    }
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

    *gbit = 0;
    enum err err = run_here(
        NET_COMMAND(path, "--ceiling", "--seconds", "2", "--offloads", offloads ? "on" : "off"),
        CEILING_LOG, CEILING_S, "--ceiling", why);
    if (err != ERR_OK)
        return err;
    read_log(CEILING_LOG, text);
    double udp = ceiling_of(text, "udp1500"), tcp = ceiling_of(text, "tcp");
    *gbit = udp < tcp ? udp : tcp;
    return *gbit > 0 ? ERR_OK : fail_log("--ceiling failed", CEILING_LOG, why);
}

double net_link_limit(double measured_gbit, const struct net_link_setting *setting,
                      unsigned packet_bytes)
{
    time_ns delay = setting->rtt / 2;
    /* Bits per nanosecond. */
    double full = delay > 0 ? 8.0 * LANE_PACKETS_MAX * packet_bytes / (double)delay : measured_gbit;

    return full < measured_gbit ? full : measured_gbit;
}
