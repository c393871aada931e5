/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/cache.h"

#include "control/dns/map.h"

enum {
    BUCKETS_BITS = 12,
    /* Of types that c-ares does not know those from here on have no compressed names. Source: RFC 3597 section 4. */
    UNKNOWN_TYPE_MIN = 43
};

struct cached {
    struct dns_link link;
    struct cached *older, *newer;
    time_ns learned, expires;
    unsigned type, class;
    ares_dns_record_t *answer;
    char name[];
};

struct dns_cache {
    uint64_t secret;
    struct dns_map map;
    struct cached *oldest, *newest;
    unsigned n;
};

struct dns_cache *dns_cache_new(uint64_t secret)
{
    struct dns_cache *c = mem_zalloc(1, sizeof *c);

    c->secret = secret;
    dns_map_init(&c->map, BUCKETS_BITS);
    return c;
}

static void drop(struct dns_cache *c, struct cached *x)
{
    dns_map_remove(&c->map, &x->link);
    *(x->older ? &x->older->newer : &c->oldest) = x->newer;
    *(x->newer ? &x->newer->older : &c->newest) = x->older;
    ares_dns_record_destroy(x->answer);
    free(x);
    c->n--;
}

void dns_cache_flush(struct dns_cache *c)
{
    while (c->oldest)
        drop(c, c->oldest);
}

void dns_cache_free(struct dns_cache *c)
{
    if (!c)
        return;
    dns_cache_flush(c);
    dns_map_fini(&c->map);
    free(c);
}

unsigned dns_cache_len(const struct dns_cache *c)
{
    return c->n;
}

static uint64_t hash_of(const struct dns_cache *c, const struct dns_query *q)
{
    return dns_hash(c->secret, q->name, strlen(q->name)) + q->type;
}

static struct cached *find(const struct dns_cache *c, const struct dns_query *q)
{
    uint64_t hash = hash_of(c, q);

    for (struct dns_link *l = dns_map_find(&c->map, hash); l; l = dns_map_next(l->next, hash)) {
        struct cached *x = (struct cached *)(void *)l;
        if (x->type == q->type && x->class == q->class && strcmp(x->name, q->name) == 0)
            return x;
    }
    return NULL;
}

/* ---- learning ---- */

/* With its first bit set it counts as zero. Source: RFC 2181 section 8. */
static unsigned min_ttl(unsigned ttl_s, unsigned of_record_s)
{
    if (of_record_s > INT32_MAX)
        return 0;
    return of_record_s < ttl_s ? of_record_s : ttl_s;
}

/* 0: it may have names that are compressed, which c-ares would write as they are to where they mean something else. */
static unsigned type_of(const ares_dns_rr_t *rr)
{
    if (ares_dns_rr_get_type(rr) != ARES_REC_TYPE_RAW_RR)
        return (unsigned)ares_dns_rr_get_type(rr);
    unsigned type = ares_dns_rr_get_u16(rr, ARES_RR_RAW_RR_TYPE);
    return type >= UNKNOWN_TYPE_MIN ? type : 0;
}

/* For how long the answer is good, in seconds. 0: it is not to be kept. */
static unsigned lifetime(const ares_dns_record_t *answer, unsigned type)
{
    size_t n = ares_dns_record_rr_cnt(answer, ARES_SECTION_ANSWER);
    unsigned ttl = DNS_CACHE_TTL_MAX_S;
    bool found = false;

    if (n > DNS_CACHE_RECORDS_MAX || ares_dns_record_get_rcode(answer) != ARES_RCODE_NOERROR ||
        ares_dns_record_get_flags(answer) & ARES_FLAG_TC)
        return 0;
    for (size_t i = 0; i < n; i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(answer, ARES_SECTION_ANSWER, i);
        unsigned of_record = type_of(rr);
        if (of_record == 0)
            return 0;
        if (of_record != type)
            continue;
        found = true;
        ttl = min_ttl(ttl, ares_dns_rr_get_ttl(rr));
    }
    return found && ttl >= DNS_CACHE_TTL_MIN_S ? ttl : 0;
}

/* Nobody asks for them again, and they take memory. */
static void leave_out(ares_dns_record_t *answer, ares_dns_section_t section)
{
    for (size_t n = ares_dns_record_rr_cnt(answer, section); n > 0; n--)
        (void)ares_dns_record_rr_del(answer, section, n - 1);
}

static void insert(struct dns_cache *c, const struct dns_query *q, ares_dns_record_t *answer,
                   time_ns now, unsigned ttl)
{
    struct cached *x = find(c, q);
    size_t len = strlen(q->name) + 1;

    if (x)
        drop(c, x);
    if (c->n == DNS_CACHE_MAX)
        drop(c, c->oldest);
    x = mem_zalloc(1, sizeof *x + len);
    memcpy(x->name, q->name, len);
    x->type = q->type;
    x->class = q->class;
    x->answer = answer;
    x->learned = now;
    x->expires = now + ttl * NS_PER_SEC;
    x->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = x;
    c->newest = x;
    dns_map_add(&c->map, &x->link, hash_of(c, q));
    c->n++;
}

void dns_cache_learn(struct dns_cache *c, const struct dns_query *q, const uint8_t *answer,
                     size_t len, time_ns now)
{
    ares_dns_record_t *record = NULL;

    if (len > DNS_CACHE_ANSWER_MAX || ares_dns_parse(answer, len, 0, &record) != ARES_SUCCESS)
        return;
    unsigned ttl = lifetime(record, q->type);
    if (ttl == 0) {
        ares_dns_record_destroy(record);
        return;
    }
    leave_out(record, ARES_SECTION_AUTHORITY);
    leave_out(record, ARES_SECTION_ADDITIONAL);
    insert(c, q, record, now, ttl);
}

/* ---- giving ---- */

/* The value of one field of a record. False: c-ares cannot copy it. */
static bool copy_field(ares_dns_rr_t *to, const ares_dns_rr_t *from, ares_dns_rr_key_t key)
{
    const unsigned char *bytes;
    size_t len;

    switch (ares_dns_rr_key_datatype(key)) {
    case ARES_DATATYPE_INADDR:
        return ares_dns_rr_set_addr(to, key, ares_dns_rr_get_addr(from, key)) == ARES_SUCCESS;
    case ARES_DATATYPE_INADDR6:
        return ares_dns_rr_set_addr6(to, key, ares_dns_rr_get_addr6(from, key)) == ARES_SUCCESS;
    case ARES_DATATYPE_U8:
        return ares_dns_rr_set_u8(to, key, ares_dns_rr_get_u8(from, key)) == ARES_SUCCESS;
    case ARES_DATATYPE_U16:
        return ares_dns_rr_set_u16(to, key, ares_dns_rr_get_u16(from, key)) == ARES_SUCCESS;
    case ARES_DATATYPE_U32:
        return ares_dns_rr_set_u32(to, key, ares_dns_rr_get_u32(from, key)) == ARES_SUCCESS;
    case ARES_DATATYPE_NAME:
    case ARES_DATATYPE_STR:
        return ares_dns_rr_set_str(to, key, ares_dns_rr_get_str(from, key)) == ARES_SUCCESS;
    case ARES_DATATYPE_BIN:
    case ARES_DATATYPE_BINP:
        bytes = ares_dns_rr_get_bin(from, key, &len);
        return bytes && ares_dns_rr_set_bin(to, key, bytes, len) == ARES_SUCCESS;
    case ARES_DATATYPE_ABINP:
        for (size_t i = 0; i < ares_dns_rr_get_abin_cnt(from, key); i++) {
            bytes = ares_dns_rr_get_abin(from, key, i, &len);
            if (ares_dns_rr_add_abin(to, key, bytes, len) != ARES_SUCCESS)
                return false;
        }
        return true;
    case ARES_DATATYPE_OPT:
        for (size_t i = 0; i < ares_dns_rr_get_opt_cnt(from, key); i++) {
            unsigned short opt = ares_dns_rr_get_opt(from, key, i, &bytes, &len);
            if (ares_dns_rr_set_opt(to, key, opt, bytes, len) != ARES_SUCCESS)
                return false;
        }
        return true;
    }
    return false;
}

static bool copy_record(ares_dns_record_t *to, const ares_dns_rr_t *from, unsigned elapsed_s)
{
    unsigned ttl = ares_dns_rr_get_ttl(from);
    ares_dns_rr_t *rr = NULL;
    size_t keys_n;
    const ares_dns_rr_key_t *keys = ares_dns_rr_get_keys(ares_dns_rr_get_type(from), &keys_n);

    if (ares_dns_record_rr_add(&rr, to, ARES_SECTION_ANSWER, ares_dns_rr_get_name(from),
                               ares_dns_rr_get_type(from), ares_dns_rr_get_class(from),
                               ttl > elapsed_s ? ttl - elapsed_s : 0) != ARES_SUCCESS)
        return false;
    for (size_t i = 0; i < keys_n; i++) {
        if (!copy_field(rr, from, keys[i]))
            return false;
    }
    return true;
}

size_t dns_cache_find(struct dns_cache *c, const struct dns_query *q, uint8_t *out, size_t max,
                      time_ns now)
{
    struct cached *x = find(c, q);
    bool whole = true;

    if (x && x->expires <= now) {
        drop(c, x);
        x = NULL;
    }
    if (!x)
        return 0;
    ares_dns_record_t *reply = dns_reply_new(q);
    size_t n = ares_dns_record_rr_cnt(x->answer, ARES_SECTION_ANSWER);
    for (size_t i = 0; i < n && whole; i++)
        whole = copy_record(reply, ares_dns_record_rr_get_const(x->answer, ARES_SECTION_ANSWER, i),
                            (unsigned)(time_since(now, x->learned) / NS_PER_SEC));
    if (!whole) {
        ares_dns_record_destroy(reply);
        drop(c, x);
        return 0;
    }
    return dns_reply_write(reply, out, max);
}
