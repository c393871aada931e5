/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the properties once; each list of servers that is known goes to a place of its own, then the best one is taken. */
#include "platform/linux/resolved_servers.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/base/bytes.h"

enum {
    DNS_PORT = 53
};

/* In the order of preference. */
enum list_kind {
    CONFIGURED_EX,
    CONFIGURED,
    CURRENT_EX,
    CURRENT,
    FALLBACK_EX,
    FALLBACK,
    LIST_KINDS
};

/* The extended form has a port and a name for TLS. */
static const struct property {
    const char *name;
    bool array, extended;
} list_properties[LIST_KINDS] = {
    [CONFIGURED_EX] = {"DNSEx", true, true},
    [CONFIGURED] = {"DNS", true, false},
    [CURRENT_EX] = {"CurrentDNSServerEx", false, true},
    [CURRENT] = {"CurrentDNSServer", false, false},
    [FALLBACK_EX] = {"FallbackDNSEx", true, true},
    [FALLBACK] = {"FallbackDNS", true, false},
};

struct list {
    struct sock_addr servers[RESOLVERS_MAX];
    unsigned n;
};

static bool is_stub(const struct ip_addr *ip)
{
    static const uint8_t stub[] = {127, 0, 0};

    return ip->family == ADDR_V4 && memcmp(ip->bytes, stub, sizeof stub) == 0 &&
           (ip->bytes[3] == 53 || ip->bytes[3] == 54);
}

static bool is_link_local(const struct ip_addr *ip)
{
    return ip->family == ADDR_V6 && ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

struct entry {
    int ifindex, family;
    const void *bytes;
    size_t len;
    uint16_t port; /* 0: the usual one */
};

static void list_add(struct list *list, const struct entry *e, uint32_t own_ifindex)
{
    struct sock_addr s = {.port = e->port != 0 ? e->port : DNS_PORT};
    uint32_t ifindex = e->ifindex > 0 ? (uint32_t)e->ifindex : 0;

    if (e->family == AF_INET && e->len == 4)
        s.ip = ip_addr_v4(e->bytes);
    else if (e->family == AF_INET6 && e->len == 16)
        s.ip = ip_addr_v6(e->bytes);
    else
        return;
    if (is_link_local(&s.ip))
        s.scope = ifindex;
    if ((ifindex != 0 && ifindex == own_ifindex) || is_stub(&s.ip) ||
        (is_link_local(&s.ip) && s.scope == 0) || list->n == RESOLVERS_MAX)
        return;
    for (unsigned i = 0; i < list->n; i++) {
        if (sock_addr_equal(&list->servers[i], &s))
            return;
    }
    list->servers[list->n++] = s;
}

/* As sd_bus_message_read: 1, 0 at the end of an array, or negative. */
static int read_entry(sd_bus_message *m, bool extended, struct list *list, uint32_t own_ifindex)
{
    struct entry e = {0};
    const char *tls_name;
    int r = sd_bus_message_enter_container(m, 'r', extended ? "iiayqs" : "iiay");

    if (r <= 0)
        return r;
    r = sd_bus_message_read(m, "ii", &e.ifindex, &e.family);
    if (r >= 0)
        r = sd_bus_message_read_array(m, 'y', &e.bytes, &e.len);
    if (r >= 0 && extended)
        r = sd_bus_message_read(m, "qs", &e.port, &tls_name);
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    if (r < 0)
        return r;
    list_add(list, &e, own_ifindex);
    return 1;
}

static int read_list(sd_bus_message *m, const struct property *p, struct list *list,
                     uint32_t own_ifindex)
{
    const char *array = p->extended ? "a(iiayqs)" : "a(iiay)";
    const char *entry = array + 1;
    int r = sd_bus_message_enter_container(m, 'v', p->array ? array : entry);

    list->n = 0;
    if (r < 0)
        return r;
    if (p->array) {
        r = sd_bus_message_enter_container(m, 'a', entry);
        while (r > 0)
            r = read_entry(m, p->extended, list, own_ifindex);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    } else {
        r = read_entry(m, p->extended, list, own_ifindex);
    }
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_property(sd_bus_message *m, struct list lists[LIST_KINDS], uint32_t own_ifindex)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < LIST_KINDS; i++) {
        if (strcmp(name, list_properties[i].name) == 0)
            return read_list(m, &list_properties[i], &lists[i], own_ifindex);
    }
    return sd_bus_message_skip(m, "v");
}

enum err resolved_servers_read(sd_bus_message *properties, uint32_t own_ifindex,
                               struct sock_addr out[RESOLVERS_MAX], unsigned *n)
{
    struct list lists[LIST_KINDS] = {0};
    int r = sd_bus_message_enter_container(properties, 'a', "{sv}");

    *n = 0;
    while (r > 0) {
        r = sd_bus_message_enter_container(properties, 'e', "sv");
        if (r <= 0)
            break;
        r = read_property(properties, lists, own_ifindex);
        if (r >= 0)
            r = sd_bus_message_exit_container(properties);
    }
    if (r < 0)
        return ERR_PARSE;
    for (unsigned i = 0; i < LIST_KINDS && *n == 0; i++) {
        *n = lists[i].n;
        memcpy(out, lists[i].servers, *n * sizeof *out);
    }
    return ERR_OK;
}
