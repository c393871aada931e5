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
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
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
    SEEN_MAX = 8192
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct seen {
    unsigned long inode;
    char line[LINE_MAX_BYTES];
};

struct watch {
    int process; /* as a descriptor */
    char directory[48];
    size_t n;
    struct seen seen[SEEN_MAX];
};

static void die(const char *what)
{
    fprintf(stderr, "sockets: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int get_int(int fd, int option)
{
    int value = 0;
    socklen_t len = sizeof value;

    if (getsockopt(fd, SOL_SOCKET, option, &value, &len) != 0)
        die("getsockopt");
    return value;
}

/* False: there is none. */
static bool address_format(char text[ADDRESS_TEXT_MAX], const union address *a)
{
    char ip[INET6_ADDRSTRLEN] = "";
    /* The port is at the same place in both. */
    uint16_t port = ntohs(a->v4.sin_port);

    snprintf(text, ADDRESS_TEXT_MAX, "-");
    if ((a->any.sa_family != AF_INET && a->any.sa_family != AF_INET6) || port == 0)
        return false;
    inet_ntop(a->any.sa_family,
              a->any.sa_family == AF_INET ? (const void *)&a->v4.sin_addr
                                          : (const void *)&a->v6.sin6_addr,
              ip, sizeof ip);
    snprintf(text, ADDRESS_TEXT_MAX, "%s,%u", ip, port);
    return true;
}

static void kind_format(char *text, size_t size, int fd, int domain)
{
    int type = get_int(fd, SO_TYPE), protocol = get_int(fd, SO_PROTOCOL);

    if (domain != AF_INET && domain != AF_INET6)
        snprintf(text, size, "%d-%d-%d", domain, type, protocol);
    else if (protocol == IPPROTO_UDP)
        snprintf(text, size, "udp");
    else if (protocol == IPPROTO_TCP)
        snprintf(text, size, "%s", get_int(fd, SO_ACCEPTCONN) ? "listen" : "tcp");
    else
        snprintf(text, size, "%d-%d-%d", domain, type, protocol);
}

/* False: it does not count. */
static bool describe(char line[LINE_MAX_BYTES], int fd)
{
    union address name;
    socklen_t len = sizeof name;
    char kind[40], local[ADDRESS_TEXT_MAX], remote[ADDRESS_TEXT_MAX], device[IF_NAMESIZE] = "";
    int domain = get_int(fd, SO_DOMAIN);
    bool inet = domain == AF_INET || domain == AF_INET6, counts = !inet;

    if (domain == AF_UNIX || domain == AF_NETLINK)
        return false;
    kind_format(kind, sizeof kind, fd, domain);
    memset(&name, 0, sizeof name);
    (void)getsockname(fd, &name.any, &len);
    counts = address_format(local, &name) || counts;
    len = sizeof name;
    memset(&name, 0, sizeof name);
    (void)getpeername(fd, &name.any, &len);
    counts = address_format(remote, &name) || counts;
    counts = counts || (strcmp(kind, "udp") != 0 && strcmp(kind, "tcp") != 0);
    len = sizeof device;
    if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &len) != 0)
        snprintf(device, sizeof device, "gone");
    snprintf(line, LINE_MAX_BYTES, "%s %s %s 0x%x %s", kind, local, remote,
             (unsigned)get_int(fd, SO_MARK), device[0] ? device : "-");
    return counts;
}

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

/* Has a copy of the descriptor for a moment; what has just been closed is none any more. */
static void look_at(struct watch *w, const char *number)
{
    char path[64], target[64], line[LINE_MAX_BYTES];
    unsigned long inode;

    if (snprintf(path, sizeof path, "%s/%s", w->directory, number) >= (int)sizeof path)
        return;
    ssize_t len = readlink(path, target, sizeof target - 1);
    if (len < 0)
        return;
    target[len] = '\0';
    if (sscanf(target, "socket:[%lu]", &inode) != 1)
        return;
    int domain, fd = (int)syscall(SYS_pidfd_getfd, w->process, atoi(number), 0);
    socklen_t domain_len = sizeof domain;
    if (fd < 0) {
        if (errno != EBADF && errno != ESRCH)
            die("pidfd_getfd");
        return;
    }
    /* Another file may have the number by now. */
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) == 0 && describe(line, fd))
        print_once(w, inode, line);
    close(fd);
}

/* False: the process has ended. */
static bool look(struct watch *w)
{
    const struct dirent *entry;
    bool any = false;
    DIR *d = opendir(w->directory);

    if (!d)
        return false;
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
    snprintf(w->directory, sizeof w->directory, "/proc/%d/fd", atoi(argv[1]));
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (look(w) && pause.tv_nsec > 0)
        nanosleep(&pause, NULL);
    close(w->process);
    free(w);
    return 0;
}
