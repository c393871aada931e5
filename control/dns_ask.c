/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns_ask.h"

#include "platform/base/log.h"

/* ---- answers ---- */

static void keep(struct dns_question *q, const ares_dns_rr_t *rr, ares_dns_rec_type_t type)
{
    struct ip_addr ip;

    if (ares_dns_rr_get_type(rr) != type || q->n == DNS_ASK_ADDRS_MAX)
        return;
    if (type == ARES_REC_TYPE_A)
        ip = ip_addr_v4(ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR));
    else
        ip = ip_addr_v6(ares_dns_rr_get_addr6(rr, ARES_RR_AAAA_ADDR));
    q->addrs[q->n++] = ip;
}

/* The aliases on the way are the server's business: every address in the answer counts. */
static void answered(struct dns_question *q, const ares_dns_record_t *answer)
{
    ares_dns_rec_type_t type = q == &q->ask->v4 ? ARES_REC_TYPE_A : ARES_REC_TYPE_AAAA;
    size_t n = ares_dns_record_rr_cnt(answer, ARES_SECTION_ANSWER);

    for (size_t i = 0; i < n; i++)
        keep(q, ares_dns_record_rr_get_const(answer, ARES_SECTION_ANSWER, i), type);
    q->outcome = q->n > 0 ? DNS_ADDRESSES : DNS_NO_ADDRESS;
}

static bool is_silence(ares_status_t status)
{
    return status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED || status == ARES_ENOMEM;
}

static void on_answer(void *arg, ares_status_t status, size_t timeouts,
                      const ares_dns_record_t *answer)
{
    struct dns_question *q = arg;
    char server[SOCK_ADDR_TEXT_MAX];

    (void)timeouts;
    q->pending = false;
    if (status == ARES_EDESTRUCTION)
        return;
    if (status == ARES_SUCCESS)
        answered(q, answer);
    else if (status == ARES_ENODATA)
        q->outcome = DNS_NO_ADDRESS;
    else if (status == ARES_ENOTFOUND || status == ARES_EBADNAME)
        q->outcome = DNS_NO_NAME;
    else if (!is_silence(status)) {
        q->outcome = DNS_FAILED;
        q->ask->failure = ares_strerror((int)status);
    }
    log_debug("names", "%s: %s: %s", sock_addr_format(&q->ask->server, server, sizeof server),
              q == &q->ask->v4 ? "A" : "AAAA", ares_strerror((int)status));
}

/* ---- life ---- */

void dns_ask_init(struct dns_ask *a, struct loop *l, const struct sock_addr *server,
                  const struct egress *egress, loop_fn changed, void *arg)
{
    *a = (struct dns_ask){.server = *server};
    cares_io_init(&a->io, l, egress, &a->server, changed, arg);
    a->v6.ask = a->v4.ask = a;
}

/*
 * c-ares looks at resolv.conf, nsswitch.conf and variables such as RES_OPTIONS even when it gets all options, and some ("use-vc")
 * count in spite of them. It gives up on all of these when the first, which an option replaces, cannot be read for another reason
 * than that it is missing. The server it is told of is only a name: version 1.34.5 passes over those with a scope, and
 * cares_io knows the real one. No EDNS: it has to ask again where that is not understood, and addresses are short.
 */
static enum err open_channel(struct dns_ask *a, bool tcp, const char **why)
{
    char unreadable[] = "/dev/null/none", only_dns[] = "b";
    const struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | (tcp ? ARES_FLAG_USEVC : 0),
        .timeout = tcp ? DNS_ASK_TCP_MS : DNS_ASK_UDP_TRY_MS,
        .maxtimeout = tcp ? DNS_ASK_TCP_MS : DNS_ASK_UDP_TRY_MS,
        .tries = tcp ? 1 : DNS_ASK_UDP_TRIES,
        .lookups = only_dns,
        .resolvconf_path = unreadable,
        .qcache_max_ttl = 0,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_MAXTIMEOUTMS | ARES_OPT_TRIES |
               ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_QUERY_CACHE | ARES_OPT_NOROTATE;

    enum err err = cares_io_open(&a->io, &options, mask, why);
    if (err != ERR_OK)
        return err;
    int status = ares_set_servers_ports_csv(a->io.channel, "127.0.0.1");
    if (status == ARES_SUCCESS)
        return ERR_OK;
    *why = ares_strerror(status);
    cares_io_close(&a->io);
    return ERR_NO_MEMORY;
}

static void ask(struct dns_question *q, const char *host, ares_dns_rec_type_t type)
{
    if (q->outcome >= DNS_NO_NAME)
        return;
    q->pending = true;
    /* on_answer hears of every failure, perhaps before this returns. */
    ares_query_dnsrec(q->ask->io.channel, host, ARES_CLASS_IN, type, on_answer, q, NULL);
}

void dns_ask_send(struct dns_ask *a, const char *host, bool tcp)
{
    const char *why;

    dns_ask_stop(a);
    if (open_channel(a, tcp, &why) != ERR_OK) {
        log_warn("names", "c-ares: %s", why);
        return;
    }
    ask(&a->v4, host, ARES_REC_TYPE_A);
    ask(&a->v6, host, ARES_REC_TYPE_AAAA);
    cares_io_arm(&a->io);
}

void dns_ask_stop(struct dns_ask *a)
{
    cares_io_close(&a->io);
}
