/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks a DoH server for addresses.
 *
 *   doh_probe URL HOSTS_FILE CA_FILE [COUNT:]NAME...
 *
 * One NAME after the other, each COUNT times at once. For each there is one line: NAME, how many queries have ended, and how,
 * each kind once: the code of the answer and its first address, or an error. Its log goes to standard error.
 */
#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dns/upstream.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"

enum {
    KINDS_MAX = 8,
    KIND_MAX_LEN = 64
};

struct probe {
    struct loop *loop;
    struct dns_asker *asker;
    unsigned wanted, answers;
    char kinds[KINDS_MAX][KIND_MAX_LEN];
    unsigned kinds_n;
};

static void die(const char *why)
{
    fprintf(stderr, "doh_probe: %s\n", why);
    exit(1);
}

static void describe(char out[KIND_MAX_LEN], enum err err, const uint8_t *bytes, size_t len)
{
    ares_dns_record_t *record = NULL;

    if (err != ERR_OK) {
        snprintf(out, KIND_MAX_LEN, "%s", err_text(err));
        return;
    }
    if (ares_dns_parse(bytes, len, 0, &record) != ARES_SUCCESS)
        die("an answer cannot be read");
    int at =
        snprintf(out, KIND_MAX_LEN, "%s", ares_dns_rcode_tostr(ares_dns_record_get_rcode(record)));
    if (ares_dns_record_rr_cnt(record, ARES_SECTION_ANSWER) > 0) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(record, ARES_SECTION_ANSWER, 0);
        const uint8_t *ip = (const uint8_t *)ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR);
        if (ip)
            snprintf(out + at, KIND_MAX_LEN - (size_t)at, ",%u.%u.%u.%u", ip[0], ip[1], ip[2],
                     ip[3]);
    }
    ares_dns_record_destroy(record);
}

static void on_answer(void *arg, uint64_t id, enum err err, const uint8_t *bytes, size_t len)
{
    struct probe *p = arg;
    char kind[KIND_MAX_LEN];
    unsigned i = 0;

    if (err == ERR_OK && load_be16(bytes) != (uint16_t)id)
        die("an answer has another id");
    describe(kind, err, bytes, len);
    while (i < p->kinds_n && strcmp(p->kinds[i], kind) != 0)
        i++;
    if (i == p->kinds_n && i < KINDS_MAX)
        memcpy(p->kinds[p->kinds_n++], kind, sizeof kind);
    if (++p->answers == p->wanted)
        loop_stop(p->loop);
}

static void ask(struct probe *p, const char *url, const char *name, uint16_t id)
{
    const struct dns_upstream u = {.kind = DNS_DOH, .url = url};
    ares_dns_record_t *record = NULL;
    uint8_t *query = NULL;
    size_t len = 0;

    if (ares_dns_record_create(&record, id, ARES_FLAG_RD, ARES_OPCODE_QUERY, ARES_RCODE_NOERROR) !=
            ARES_SUCCESS ||
        ares_dns_record_query_add(record, name, ARES_REC_TYPE_A, ARES_CLASS_IN) != ARES_SUCCESS ||
        ares_dns_write(record, &query, &len) != ARES_SUCCESS)
        die("a query cannot be written");
    enum err err = dns_asker_ask(p->asker, id, &u, DNS_UDP, query, len);
    if (err != ERR_OK)
        on_answer(p, id, err, NULL, 0);
    ares_free_string(query);
    ares_dns_record_destroy(record);
}

static void ask_all(struct probe *p, const char *url, const char *order)
{
    const char *colon = strchr(order, ':'), *name = colon ? colon + 1 : order;
    unsigned n = colon ? (unsigned)strtoul(order, NULL, 10) : 1;

    p->wanted = n;
    p->answers = p->kinds_n = 0;
    for (unsigned i = 0; i < n; i++)
        ask(p, url, name, (uint16_t)(i + 1));
    if (p->answers < n && loop_run(p->loop) != ERR_OK)
        die("the event loop fails");
    printf("%s %u", name, p->answers);
    for (unsigned i = 0; i < p->kinds_n; i++)
        printf(" %s", p->kinds[i]);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct probe p = {.loop = NULL};
    struct names *names = NULL;

    if (argc < 5)
        die("usage: doh_probe URL HOSTS_FILE CA_FILE [COUNT:]NAME...");
    log_set_level(LOG_DEBUG);
    if (loop_new(&p.loop) != ERR_OK || names_new(&names, p.loop, NULL, 0, NULL, argv[2]) != ERR_OK)
        die("it does not start");
    const struct dns_asker_config config = {.loop = p.loop, .names = names, .ca_file = argv[3]};
    if (dns_asker_new(&p.asker, &config, on_answer, &p) != ERR_OK)
        die("it does not start");
    const struct dns_upstream u = {.kind = DNS_DOH, .url = argv[1]};
    dns_asker_set(p.asker, &u, 1);
    for (int i = 4; i < argc; i++)
        ask_all(&p, argv[1], argv[i]);
    dns_asker_free(p.asker);
    names_free(names);
    loop_free(p.loop);
    return 0;
}
