/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a UDP port sees, and how others see it.
 *
 *   udp_probe PORT [-e]
 *
 * Prints a line for each datagram that arrives, "from ADDRESS PORT TEXT", and for each ICMP error, "refused ADDRESS PORT". With -e
 * (echo) it answers each one with "seen ADDRESS PORT", the source that it had here; never one that begins with "seen".
 * A line "to ADDRESS PORT TEXT" on the standard input sends one; its end, or a line "quit", ends the program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TEXT_MAX = 200
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static void die(const char *what)
{
    fprintf(stderr, "udp_probe: %s: %s\n", what, strerror(errno));
    exit(1);
}

static socklen_t address_len(const union address *a)
{
    return a->any.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6;
}

static bool address_parse(union address *a, const char *text, unsigned port)
{
    memset(a, 0, sizeof *a);
    a->any.sa_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    /* The port is at the same place in both. */
    a->v4.sin_port = htons((uint16_t)port);
    return inet_pton(a->any.sa_family, text,
                     a->any.sa_family == AF_INET ? (void *)&a->v4.sin_addr
                                                 : (void *)&a->v6.sin6_addr) == 1;
}

static const char *address_format(const union address *a, char text[TEXT_MAX])
{
    char ip[INET6_ADDRSTRLEN];

    inet_ntop(a->any.sa_family,
              a->any.sa_family == AF_INET ? (const void *)&a->v4.sin_addr
                                          : (const void *)&a->v6.sin6_addr,
              ip, sizeof ip);
    snprintf(text, TEXT_MAX, "%s %u", ip, ntohs(a->v4.sin_port));
    return text;
}

static int open_socket(int family, unsigned port)
{
    union address local = {.any = {.sa_family = (sa_family_t)family}};
    int fd = socket(family, SOCK_DGRAM, 0), on = 1;

    if (fd < 0)
        die("socket");
    local.v4.sin_port = htons((uint16_t)port);
    if (family == AF_INET)
        setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    else if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        die("IPV6_V6ONLY");
    else
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
    if (bind(fd, &local.any, address_len(&local)) < 0)
        die("bind");
    return fd;
}

/* One ICMP error, which carries the destination that the datagram had. False: there is none. */
static bool take_refusal(int fd)
{
    union address to;
    char text[TEXT_MAX];
    struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to};

    if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return false;
    printf("refused %s\n", address_format(&to, text));
    return true;
}

static void take_datagram(int fd, bool echo)
{
    union address from;
    socklen_t len = sizeof from;
    char data[TEXT_MAX + 1], text[TEXT_MAX], answer[TEXT_MAX + 8];
    ssize_t n = recvfrom(fd, data, TEXT_MAX, MSG_DONTWAIT, &from.any, &len);

    if (n < 0)
        return; /* an error that take_refusal has told, or will */
    data[n] = 0;
    printf("from %s %s\n", address_format(&from, text), data);
    if (echo && strncmp(data, "seen", 4) != 0) {
        snprintf(answer, sizeof answer, "seen %s", text);
        sendto(fd, answer, strlen(answer), 0, &from.any, len);
    }
}

/* False: it was the last one. */
static bool take_command(const int fds[2])
{
    char line[TEXT_MAX * 2], ip[INET6_ADDRSTRLEN], text[TEXT_MAX];
    unsigned port;
    union address to;

    if (!fgets(line, sizeof line, stdin) || strcmp(line, "quit\n") == 0)
        return false;
    if (sscanf(line, "to %45s %u %199[^\n]", ip, &port, text) != 3 ||
        !address_parse(&to, ip, port)) {
        fprintf(stderr, "udp_probe: bad command: %s", line);
        exit(2);
    }
    if (sendto(fds[to.any.sa_family == AF_INET6], text, strlen(text), 0, &to.any,
               address_len(&to)) < 0)
        printf("unsent %s %u: %s\n", ip, port, strerror(errno));
    return true;
}

int main(int argc, char **argv)
{
    bool echo = argc == 3 && strcmp(argv[2], "-e") == 0;
    unsigned port = argc >= 2 ? (unsigned)atoi(argv[1]) : 0;

    if (argc > 3 || (argc == 3 && !echo) || port == 0 || port > 65535) {
        fprintf(stderr, "usage: udp_probe PORT [-e]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll sees what is left */
    const int fds[2] = {open_socket(AF_INET, port), open_socket(AF_INET6, port)};
    puts("ready");
    for (;;) {
        struct pollfd p[3] = {{.fd = fds[0], .events = POLLIN},
                              {.fd = fds[1], .events = POLLIN},
                              {.fd = STDIN_FILENO, .events = POLLIN}};
        if (poll(p, 3, -1) < 0)
            die("poll");
        for (int i = 0; i < 2; i++) {
            while ((p[i].revents & POLLERR) && take_refusal(fds[i]))
                continue;
            if (p[i].revents)
                take_datagram(fds[i], echo);
        }
        if (p[2].revents && !take_command(fds))
            return 0;
    }
}
