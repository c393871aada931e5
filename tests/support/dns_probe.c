/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TUN device held open, and systemd-resolved told of it, on orders from standard input.
 *
 *   dns_probe TUN [UID]
 *
 *   set SERVER[,SERVER] [DOMAIN]...    revert    resolvers    flush    quit
 *
 * Each order is answered by one line that begins with it: "set ok", "set failed: WHY", "resolvers ADDRESS:PORT ...". Unasked:
 * "changed", and "query SERVER" for each DNS query that comes out of the device. It ends with its input. With UID it is that user's, once it has
 * the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/linux/dns_method.h"

enum {
    LINE_MAX_LEN = 512,
    WHY_MAX = 512
};

struct probe {
    const struct dns_method_ops *ops;
    void *method;
    struct loop *loop;
    int tun;
    char tun_name[IF_NAMESIZE];
    char input[LINE_MAX_LEN];
    size_t input_len;
};

static void die(const char *what, const char *why)
{
    printf("%s failed: %s\n", what, why);
    exit(1);
}

static void open_tun(struct probe *p, const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};

    snprintf(p->tun_name, sizeof p->tun_name, "%s", name);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    p->tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (p->tun < 0 || ioctl(p->tun, TUNSETIFF, &ifr) != 0)
        die("tun", strerror(errno));
}

static void tun_ready(void *arg, unsigned events)
{
    struct probe *p = arg;
    uint8_t packet[2048];
    char text[IP_TEXT_MAX];

    (void)events;
    for (;;) {
        ssize_t n = read(p->tun, packet, sizeof packet);
        if (n <= 0)
            return;
        if (n < 28 || packet[0] != 0x45 || packet[9] != 17 || packet[22] != 0 || packet[23] != 53)
            continue;
        struct ip_addr to = ip_addr_v4(packet + 16);
        printf("query %s\n", ip_addr_format(&to, text, sizeof text));
    }
}

static void order_set(struct probe *p, char *rest)
{
    struct dns_settings s = {.tun_ifindex = if_nametoindex(p->tun_name), .tun_name = p->tun_name};
    char why[WHY_MAX], *words, *commas;

    char *servers = strtok_r(rest, " ", &words);
    for (char *one = servers ? strtok_r(servers, ",", &commas) : NULL;
         one && s.servers_n < DNS_SERVERS_MAX; one = strtok_r(NULL, ",", &commas)) {
        if (ip_addr_parse(&s.servers[s.servers_n++], one) != ERR_OK)
            die("set", one);
    }
    for (char *one = strtok_r(NULL, " ", &words); one && s.search_n < DNS_SEARCH_MAX;
         one = strtok_r(NULL, " ", &words))
        s.search[s.search_n++] = one;
    if (p->ops->set(p->method, &s, why, sizeof why) == ERR_OK)
        printf("set ok\n");
    else
        printf("set failed: %s\n", why);
}

static void order_resolvers(struct probe *p)
{
    struct sock_addr list[RESOLVERS_MAX];
    unsigned n;
    char why[WHY_MAX], text[SOCK_ADDR_TEXT_MAX];

    if (p->ops->resolvers(p->method, list, &n, why, sizeof why) != ERR_OK) {
        printf("resolvers failed: %s\n", why);
        return;
    }
    printf("resolvers");
    for (unsigned i = 0; i < n; i++)
        printf(" %s", sock_addr_format(&list[i], text, sizeof text));
    printf("\n");
}

static void obey(struct probe *p, char *line)
{
    if (strncmp(line, "set ", 4) == 0) {
        order_set(p, line + 4);
    } else if (strcmp(line, "revert") == 0) {
        p->ops->revert(p->method);
        printf("revert ok\n");
    } else if (strcmp(line, "resolvers") == 0) {
        order_resolvers(p);
    } else if (strcmp(line, "flush") == 0) {
        p->ops->flush(p->method);
        printf("flush ok\n");
    } else if (strcmp(line, "quit") == 0) {
        loop_stop(p->loop);
    } else {
        die("order", line);
    }
}

static void input_ready(void *arg, unsigned events)
{
    struct probe *p = arg;
    char *end;

    (void)events;
    ssize_t n = read(0, p->input + p->input_len, sizeof p->input - 1 - p->input_len);
    if (n <= 0) {
        loop_stop(p->loop);
        return;
    }
    p->input_len += (size_t)n;
    p->input[p->input_len] = '\0';
    while ((end = strchr(p->input, '\n')) != NULL) {
        *end = '\0';
        obey(p, p->input);
        p->input_len -= (size_t)(end + 1 - p->input);
        memmove(p->input, end + 1, p->input_len + 1);
    }
}

static void changed(void *arg)
{
    (void)arg;
    printf("changed\n");
}

int main(int argc, char **argv)
{
    struct probe p = {.ops = &dns_systemd_resolved};
    char why[WHY_MAX];

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: dns_probe TUN [UID]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_set_level(LOG_DEBUG);
    open_tun(&p, argv[1]);
    if (argc == 3) {
        uid_t id = (uid_t)strtoul(argv[2], NULL, 10);
        if (setgroups(0, NULL) != 0 || setresgid(id, id, id) != 0 || setresuid(id, id, id) != 0)
            die("user", strerror(errno));
    }
    if (loop_new(&p.loop) != ERR_OK)
        die("loop", "no loop");
    if (p.ops->open(&p.method, p.loop, changed, &p, why, sizeof why) != ERR_OK)
        die("open", why);
    if (loop_add_fd(p.loop, 0, LOOP_READ, input_ready, &p) != ERR_OK ||
        loop_add_fd(p.loop, p.tun, LOOP_READ, tun_ready, &p) != ERR_OK)
        die("loop", "no descriptors");
    printf("open ok\n");
    int status = loop_run(p.loop) == ERR_OK ? 0 : 1;
    p.ops->revert(p.method);
    p.ops->close(p.method);
    loop_free(p.loop);
    close(p.tun);
    return status;
}
