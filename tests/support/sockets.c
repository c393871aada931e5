/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets of a process, as they come and go.
 *
 *   sockets PID MILLISECONDS
 *
 * Looks every so many milliseconds until the process has ended, or once with 0, and prints a line for each socket in each state that it was
 * seen in: KIND LOCAL REMOTE MARK DEVICE. KIND is udp, tcp, listen (a TCP socket that takes connections), or "D-T-P", a domain,
 * type and protocol that are none of these; an address is ADDRESS,PORT; "-" stands for what there is none of. Local ones (AF_UNIX)
 * and the kernel's (AF_NETLINK) do not count, nor does one that is neither bound nor connected: it can send nothing.
 *
 * The kernel's table of sockets says what there is to say (sock_diag(7)), that of the process's network namespace. A copy of the
 * descriptor, which would keep the port taken after the process has closed it, is only made of what is not in there.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    ADDRESS_TEXT_MAX = INET6_ADDRSTRLEN + 8,
    LINE_MAX_BYTES = 256,
    SEEN_MAX = 8192,
    TABLE_MAX = 4096,
    STATE_LISTEN = 10 /* TCP_LISTEN */
};

struct seen {
    unsigned long inode;
    char line[LINE_MAX_BYTES];
};

struct watch {
    int process; /* as a descriptor */
    char directory[48];
    struct mnl_socket *diag;
    uint8_t protocol; /* of the table being read */
    size_t n, table_n;
    struct seen seen[SEEN_MAX],
        table[TABLE_MAX]; /* what was printed; the sockets of the namespace as of now */
};

static void die(const char *what)
{
    fprintf(stderr, "sockets: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the kernel's table ---- */

static void address_format(char text[ADDRESS_TEXT_MAX], int family, const __be32 *ip, __be16 port)
{
    char ip_text[INET6_ADDRSTRLEN] = "";

    if (port == 0) {
        snprintf(text, ADDRESS_TEXT_MAX, "-");
        return;
    }
    inet_ntop(family, ip, ip_text, sizeof ip_text);
    snprintf(text, ADDRESS_TEXT_MAX, "%s,%u", ip_text, ntohs(port));
}

static const char *kind_of(const struct watch *w, const struct inet_diag_msg *m)
{
    if (w->protocol == IPPROTO_UDP)
        return "udp";
    return m->idiag_state == STATE_LISTEN ? "listen" : "tcp";
}

static int on_attribute(const struct nlattr *attribute, void *arg)
{
    uint32_t *mark = arg;

    if (mnl_attr_get_type(attribute) == INET_DIAG_MARK)
        *mark = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

static int on_socket(const struct nlmsghdr *h, void *arg)
{
    struct watch *w = arg;
    const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
    const struct inet_diag_sockid *id = &m->id;
    char local[ADDRESS_TEXT_MAX], remote[ADDRESS_TEXT_MAX], device[IF_NAMESIZE] = "-";
    uint32_t mark = 0;

    if (w->table_n == TABLE_MAX) {
        errno = ENOSPC;
        die("too many sockets");
    }
    mnl_attr_parse(h, sizeof *m, on_attribute, &mark);
    address_format(local, m->idiag_family, id->idiag_src, id->idiag_sport);
    address_format(remote, m->idiag_family, id->idiag_dst, id->idiag_dport);
    if (id->idiag_if != 0 && !if_indextoname(id->idiag_if, device))
        snprintf(device, sizeof device, "gone");
    struct seen *s = &w->table[w->table_n++];
    s->inode = m->idiag_inode;
    snprintf(s->line, sizeof s->line, "%s %s %s 0x%x %s", kind_of(w, m), local, remote, mark,
             device);
    return MNL_CB_OK;
}

static void table_read(struct watch *w, uint8_t family, uint8_t protocol)
{
    char buffer[32768];
    struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
    struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(h, sizeof *request);
    ssize_t n;
    int more = MNL_CB_OK;

    h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request->sdiag_family = family;
    request->sdiag_protocol = w->protocol = protocol;
    request->idiag_states = UINT32_MAX;
    if (mnl_socket_sendto(w->diag, h, h->nlmsg_len) < 0)
        die("sock_diag");
    while (more > MNL_CB_STOP) {
        n = mnl_socket_recvfrom(w->diag, buffer, sizeof buffer);
        more = n < 0 ? -1 : mnl_cb_run(buffer, (size_t)n, 0, 0, on_socket, w);
    }
    if (more < 0)
        die("sock_diag");
}

static void tables_read(struct watch *w)
{
    w->table_n = 0;
    table_read(w, AF_INET, IPPROTO_UDP);
    table_read(w, AF_INET6, IPPROTO_UDP);
    table_read(w, AF_INET, IPPROTO_TCP);
    table_read(w, AF_INET6, IPPROTO_TCP);
}

static const char *table_line(const struct watch *w, unsigned long inode)
{
    for (size_t i = 0; i < w->table_n; i++) {
        if (w->table[i].inode == inode)
            return w->table[i].line;
    }
    return NULL;
}

/* ---- what is in no table ---- */

static int get_int(int fd, int option)
{
    int value = 0;
    socklen_t len = sizeof value;

    if (getsockopt(fd, SOL_SOCKET, option, &value, &len) != 0)
        die("getsockopt");
    return value;
}

/* False: it does not count. UDP and TCP are only in no table while they are on their way to be. */
static bool describe(char line[LINE_MAX_BYTES], int fd)
{
    int domain = get_int(fd, SO_DOMAIN), type = get_int(fd, SO_TYPE),
        protocol = get_int(fd, SO_PROTOCOL);

    if (domain == AF_UNIX || domain == AF_NETLINK ||
        ((domain == AF_INET || domain == AF_INET6) &&
         (protocol == IPPROTO_UDP || protocol == IPPROTO_TCP)))
        return false;
    snprintf(line, LINE_MAX_BYTES, "%d-%d-%d - - 0x%x -", domain, type, protocol,
             (unsigned)get_int(fd, SO_MARK));
    return true;
}

/* ---- the process ---- */

static void print_once(struct watch *w, unsigned long inode, const char *line)
{
    for (size_t i = w->n; i > 0; i--) {
        if (w->seen[i - 1].inode == inode && strcmp(w->seen[i - 1].line, line) == 0)
            return;
    }
    if (w->n == SEEN_MAX) {
        errno = ENOSPC;
        die("too many sockets");
    }
    struct seen *s = &w->seen[w->n++];
    s->inode = inode;
    snprintf(s->line, sizeof s->line, "%s", line);
    puts(line);
}

/* Another file may have the number by now, or none. */
static void look_closer(struct watch *w, int number, unsigned long inode)
{
    char line[LINE_MAX_BYTES];
    int domain, fd = (int)syscall(SYS_pidfd_getfd, w->process, number, 0);
    socklen_t domain_len = sizeof domain;

    if (fd < 0) {
        if (errno != EBADF && errno != ESRCH)
            die("pidfd_getfd");
        return;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) == 0 && describe(line, fd))
        print_once(w, inode, line);
    close(fd);
}

static void look_at(struct watch *w, const char *number)
{
    char path[64], target[64];
    unsigned long inode;

    if (snprintf(path, sizeof path, "%s/%s", w->directory, number) >= (int)sizeof path)
        return;
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len < 0)
        return;
    target[len] = '\0';
    if (sscanf(target, "socket:[%lu]", &inode) != 1)
        return;
    const char *line = table_line(w, inode);
    if (line)
        print_once(w, inode, line);
    else
        look_closer(w, atoi(number), inode);
}

/* False: the process has ended. */
static bool look(struct watch *w)
{
    const struct dirent *entry;
    bool any = false;
    DIR *d = opendir(w->directory);

    if (!d)
        return false;
    tables_read(w);
    while ((entry = readdir(d))) {
        if (entry->d_name[0] == '.')
            continue;
        any = true;
        look_at(w, entry->d_name);
    }
    closedir(d);
    return any;
}

int main(int argc, char **argv)
{
    struct watch *w = calloc(1, sizeof *w);

    if (!w || argc != 3) {
        fprintf(stderr, "usage: sockets PID MILLISECONDS\n");
        return 2;
    }
    const struct timespec pause = {.tv_nsec = atol(argv[2]) * 1000000L};
    w->process = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0);
    if (w->process < 0)
        die("pidfd_open");
    if (setns(w->process, CLONE_NEWNET) != 0)
        die("setns");
    w->diag = mnl_socket_open(NETLINK_SOCK_DIAG);
    if (!w->diag)
        die("sock_diag");
    snprintf(w->directory, sizeof w->directory, "/proc/%d/fd", atoi(argv[1]));
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (look(w) && pause.tv_nsec > 0)
        nanosleep(&pause, NULL);
    mnl_socket_close(w->diag);
    close(w->process);
    free(w);
    return 0;
}
