/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/nonces.h"

#include <stdio.h>
#include <string.h>

#include "tools/fzrelay/relay.h"

static const uint8_t hyphens[] = {8, 13, 18, 23};

void nonces_init(struct nonces *s, uint32_t size, struct draw *draw)
{
    *s = (struct nonces){.size = size, .key = draw_u64(draw)};
    s->slots = mem_zalloc(size, sizeof *s->slots);
    chain_init(&s->by_client, size);
}

void nonces_fini(struct nonces *s)
{
    chain_fini(&s->by_client);
    free(s->slots);
}

static struct nonce *find(const struct nonces *s, const struct sock_addr *client)
{
    uint32_t i = chain_first(&s->by_client, hash_addr(s->key, client));

    while (i != CHAIN_END && !sock_addr_equal(&s->slots[i].client, client))
        i = s->by_client.next[i];
    return i != CHAIN_END ? &s->slots[i] : NULL;
}

static void forget(struct nonces *s, struct nonce *n)
{
    if (!n->used)
        return;
    chain_remove(&s->by_client, hash_addr(s->key, &n->client), (uint32_t)(n - s->slots));
    *n = (struct nonce){.left = 0};
    s->used--;
}

void nonces_forget(struct nonces *s)
{
    for (uint32_t i = 0; i < s->size; i++)
        forget(s, &s->slots[i]);
}

void nonces_forget_client(struct nonces *s, const struct sock_addr *client)
{
    struct nonce *n = find(s, client);

    if (n)
        forget(s, n);
}

static struct nonce *add(struct nonces *s, const struct sock_addr *client)
{
    struct nonce *n = &s->slots[s->next];

    s->next = (s->next + 1) % s->size;
    forget(s, n);
    n->client = *client;
    n->used = true;
    s->used++;
    chain_add(&s->by_client, hash_addr(s->key, client), (uint32_t)(n - s->slots));
    return n;
}

static void make(struct nonce *n, struct draw *draw)
{
    draw_bytes16(draw, n->uuid);
    n->uuid[6] = (uint8_t)(0x40 | (n->uuid[6] & 0x0f)); /* version 4 */
    n->uuid[8] = (uint8_t)(0x80 | (n->uuid[8] & 0x3f));
    n->left = RELAY_NONCE_USES;
}

static void to_text(char out[NONCE_LEN + 1], const uint8_t uuid[16])
{
    static const char digits[] = "0123456789abcdef";
    unsigned at = 0;

    for (unsigned i = 0; i < 16; i++) {
        if (at == 8 || at == 13 || at == 18 || at == 23)
            out[at++] = '-';
        out[at++] = digits[uuid[i] >> 4];
        out[at++] = digits[uuid[i] & 15];
    }
    out[at] = '\0';
}

void nonces_issue(struct nonces *s, const struct sock_addr *client, struct draw *draw,
                  char out[NONCE_LEN + 1])
{
    struct nonce *n = find(s, client);

    if (!n)
        n = add(s, client);
    if (n->left == 0)
        make(n, draw);
    to_text(out, n->uuid);
}

/* -1: no hexadecimal digit. */
static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse(uint8_t uuid[16], struct stun_text text)
{
    unsigned hyphens_n = 0, digits_n = 0;

    if (!text.bytes || text.len != NONCE_LEN)
        return false;
    for (unsigned i = 0; i < NONCE_LEN; i++) {
        int d = digit(text.bytes[i]);
        if (hyphens_n < ARRAY_LEN(hyphens) && hyphens[hyphens_n] == i) {
            hyphens_n++;
            if (text.bytes[i] != '-')
                return false;
            continue;
        }
        if (d < 0)
            return false;
        uuid[digits_n / 2] = (uint8_t)(uuid[digits_n / 2] << 4 | d);
        digits_n++;
    }
    return true;
}

enum nonce_verdict nonces_use(struct nonces *s, const struct sock_addr *client,
                              struct stun_text text)
{
    struct nonce *n = find(s, client);
    uint8_t uuid[16] = {0};

    if (!parse(uuid, text))
        return NONCE_NONE;
    if (!n || n->left == 0 || !ct_equal(n->uuid, uuid, sizeof uuid))
        return NONCE_STALE;
    n->left--;
    return NONCE_GOOD;
}
