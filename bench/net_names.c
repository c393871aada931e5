/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_names.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/net_clock.h"
#include "bench/net_hosts.h"
#include "bench/net_log.h"
#include "platform/base/bytes.h"

enum {
    ANSWER_MAX = 1232,
    TRY_MS = 500,
    FIND_MS = 10000
};

/* ---- /etc ---- */

static bool write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    bool good = f != NULL && fputs(text, f) >= 0;

    if (f != NULL && fclose(f) != 0)
        good = false;
    return good;
}

enum err net_names_prepare(struct why why)
{
    /* Nobody listens at the server: what has to be asked of it fails. */
    static const char *const files[][2] = {
        {"/etc/hosts", "127.0.0.1 localhost\n" NET_HOSTS_BEHIND " " NET_NAMES_SERVER "\n"},
        {"/etc/resolv.conf", "nameserver " NET_HOSTS_SERVER "\n"},
        {"/etc/nsswitch.conf", "hosts: files dns\n"},
    };

    if (mount("fzbench", "/etc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755") != 0)
        return why_fail(why, err_from_errno(errno), "cannot mount a file system at /etc: %s",
                        strerror(errno));
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (!write_file(files[i][0], files[i][1]))
            return why_fail(why, ERR_IO, "cannot write %s: %s", files[i][0], strerror(errno));
    }
    return ERR_OK;
}

/* ---- the client's DNS service ---- */

bool net_names_parse(const char *line, const char *server, char stub[NET_INNER_MAX])
{
    static const char says[] = " stands for ";
    const char *end = strstr(line, says), *start = end;
    size_t n = strlen(server);

    if (end == NULL || strncmp(end + strlen(says), server, n) != 0 ||
        strcmp(end + strlen(says) + n, ":53") != 0)
        return false;
    while (start > line && start[-1] != ' ')
        start--;
    struct in_addr ip;
    char word[NET_INNER_MAX];
    if (end - start >= NET_INNER_MAX)
        return false;
    snprintf(word, sizeof word, "%.*s", (int)(end - start), start);
    if (inet_pton(AF_INET, word, &ip) != 1)
        return false;
    memcpy(stub, word, sizeof word);
    return true;
}

static void see(void *arg, const char *line)
{
    char stub[NET_INNER_MAX];

    if (net_names_parse(line, NET_HOSTS_SERVER, stub))
        memcpy(arg, stub, sizeof stub);
}

bool net_names_stub(const struct net_tunnel *t, char stub[NET_INNER_MAX])
{
    stub[0] = '\0';
    (void)net_log_read(t->log[NET_A], 0, see, stub);
    return stub[0] != '\0';
}

/* The first IPv4 address of an answer. */
static bool take_address(const ares_dns_record_t *answer, char out[NET_INNER_MAX])
{
    size_t n = ares_dns_record_rr_cnt(answer, ARES_SECTION_ANSWER);

    for (size_t i = 0; i < n; i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(answer, ARES_SECTION_ANSWER, i);
        const struct in_addr *ip = ares_dns_rr_get_type(rr) == ARES_REC_TYPE_A
                                       ? ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR)
                                       : NULL;
        if (ip != NULL && inet_ntop(AF_INET, ip, out, NET_INNER_MAX) != NULL)
            return true;
    }
    return false;
}

static bool send_query(int fd, const char *name)
{
    ares_dns_record_t *query = NULL;
    unsigned char *bytes = NULL;
    size_t len = 0;
    bool sent =
        ares_dns_record_create(&query, 1, ARES_FLAG_RD, ARES_OPCODE_QUERY, ARES_RCODE_NOERROR) ==
            ARES_SUCCESS &&
        ares_dns_record_query_add(query, name, ARES_REC_TYPE_A, ARES_CLASS_IN) == ARES_SUCCESS &&
        ares_dns_write(query, &bytes, &len) == ARES_SUCCESS &&
        send(fd, bytes, len, 0) == (ssize_t)len;

    ares_free_string(bytes);
    ares_dns_record_destroy(query);
    return sent;
}

static bool take_answer(int fd, char out[NET_INNER_MAX])
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    unsigned char bytes[ANSWER_MAX];
    ares_dns_record_t *answer = NULL;
    ssize_t n = poll(&p, 1, TRY_MS) == 1 ? recv(fd, bytes, sizeof bytes, 0) : -1;
    bool good = n > 0 && ares_dns_parse(bytes, (size_t)n, 0, &answer) == ARES_SUCCESS &&
                take_address(answer, out);

    ares_dns_record_destroy(answer);
    return good;
}

bool net_names_ask(const struct net_tunnel *t, const char *name, char out[NET_INNER_MAX])
{
    char stub[NET_INNER_MAX];

    if (!net_names_stub(t, stub))
        return false;
    int fd = net_rig_socket(t->rig, NET_A, SOCK_DGRAM);
    bool good = fd >= 0 && net_rig_connect(fd, stub, NET_NAMES_PORT) && send_query(fd, name) &&
                take_answer(fd, out);

    if (fd >= 0)
        close(fd);
    return good;
}

enum err net_names_find(struct net_tunnel *t, const char *name, struct why why)
{
    uint64_t end = net_clock_now() + FIND_MS * NS_PER_MS;

    for (;;) {
        if (net_names_ask(t, name, t->inner[NET_B]))
            return ERR_OK;
        enum err err = net_tunnel_check(t, why);
        if (err != ERR_OK)
            return err;
        if (net_clock_now() >= end)
            return net_tunnel_fail(t, NET_A, "does not know the resource's name", why);
        net_clock_sleep(20 * NS_PER_MS);
    }
}
