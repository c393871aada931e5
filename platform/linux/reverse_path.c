/* SPDX-License-Identifier: Apache-2.0 */
/* The sysctl is set through /proc; the modes are read through netlink, since units often hide parts of /proc/sys. */
#include "platform/linux/reverse_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/addr.h"
#include "platform/base/log.h"
#include "platform/linux/rule.h"

#define MODULE       "routes"
#define SYSCTL_MARKS "/proc/sys/net/ipv4/conf/all/src_valid_mark"

enum {
    STRICT = 1 /* rp_filter: 0 off, 1 strict, 2 loose */
};

static bool write_marks(char value)
{
    int fd = open(SYSCTL_MARKS, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, &value, 1) == 1;
    int e = errno;
    if (fd >= 0)
        close(fd);
    errno = e;
    return ok;
}

/* '?': not known */
static char read_marks(void)
{
    char value = '?';
    int fd = open(SYSCTL_MARKS, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (read(fd, &value, 1) != 1)
            value = '?';
        close(fd);
    }
    return value;
}

bool reverse_path_without_marks(void)
{
    return read_marks() == '0';
}

bool reverse_path_use_marks(void)
{
    char value = read_marks();

    if (value != '0' && value != '?')
        return false;
    if (write_marks('1'))
        return value == '0';
    log_info(MODULE, "cannot set net.ipv4.conf.all.src_valid_mark: %s", strerror(errno));
    return false;
}

void reverse_path_restore(struct netlink *n)
{
    struct rule *rules;
    size_t rules_n;
    bool needed = false;

    if (rule_list(n, ADDR_V4, &rules, &rules_n) != 0)
        return;
    for (size_t i = 0; i < rules_n; i++)
        needed = needed || (rules[i].invert && rules[i].has_mark);
    free(rules);
    if (!needed && !write_marks('0'))
        log_info(MODULE, "cannot restore net.ipv4.conf.all.src_valid_mark: %s", strerror(errno));
}

struct modes {
    uint32_t tun_ifindex;
    int all;                           /* applies to every interface if greater */
    int strict_ifindex;                /* an interface with mode 1 of its own, 0: none */
    int any_ifindex;                   /* one with mode 0, strict if `all` is */
    int message_ifindex, message_mode; /* of the message being parsed */
};

static int take_attr(const struct nlattr *attr, void *arg)
{
    struct modes *m = arg;

    if (mnl_attr_get_payload_len(attr) < sizeof(uint32_t))
        return MNL_CB_OK;
    if (mnl_attr_get_type(attr) == NETCONFA_IFINDEX)
        m->message_ifindex = (int)mnl_attr_get_u32(attr);
    if (mnl_attr_get_type(attr) == NETCONFA_RP_FILTER)
        m->message_mode = (int)mnl_attr_get_u32(attr);
    return MNL_CB_OK;
}

static void take_netconf(void *arg, const struct nlmsghdr *h)
{
    struct modes *m = arg;
    char name[IF_NAMESIZE];

    if (!h) {
        m->all = m->strict_ifindex = m->any_ifindex = 0;
        return;
    }
    m->message_ifindex = m->message_mode = 0;
    mnl_attr_parse(h, sizeof(struct netconfmsg), take_attr, m);
    int i = m->message_ifindex;
    if (i == NETCONFA_IFINDEX_ALL)
        m->all = m->message_mode;
    if (i <= 0 || (uint32_t)i == m->tun_ifindex ||
        (if_indextoname((unsigned)i, name) && strcmp(name, "lo") == 0))
        return;
    if (m->message_mode == STRICT)
        m->strict_ifindex = i;
    if (m->message_mode == 0)
        m->any_ifindex = i;
}

void reverse_path_warn(struct netlink *n, uint32_t tun_ifindex)
{
    struct netlink_buf b;
    struct modes m = {.tun_ifindex = tun_ifindex};
    char name[IF_NAMESIZE];
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETNETCONF, 0);
    struct netconfmsg *ncm = mnl_nlmsg_put_extra_header(h, sizeof *ncm);

    ncm->ncm_family = AF_INET;
    if (netlink_dump(n, h, take_netconf, &m) != 0 || m.all > STRICT)
        return;
    int strict = m.strict_ifindex ? m.strict_ifindex : m.all == STRICT ? m.any_ifindex : 0;
    if (strict == 0 || !if_indextoname((unsigned)strict, name))
        return;
    log_warn(MODULE,
             "reverse-path filtering is strict on %s and may drop the peers' IPv4 datagrams; "
             "set net.ipv4.conf.%s.rp_filter=2",
             name, name);
}
