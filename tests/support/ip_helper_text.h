/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake IP Helper's tables from lines of text. For tests with cmocka.
 *   adapter LUID up|down NAME METRIC ADDRESS/LEN...
 *   route LUID PREFIX [via ADDRESS] [metric N]
 * Indices are the LUID + 100, of IPv6 + 200.
 */
#ifndef FZ_TEST_IP_HELPER_TEXT_H
#define FZ_TEST_IP_HELPER_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "tests/support/ip_helper_fake.h"

static inline struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    if (ip_addr_parse(&a, text) != ERR_OK)
        fail_msg("bad address '%s'", text);
    return a;
}

static inline struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;
    if (ip_prefix_parse(&p, text) != ERR_OK)
        fail_msg("bad prefix '%s'", text);
    return p;
}

static inline void fake_add_adapter(struct fake_helper *f, char **w, unsigned n)
{
    struct ip_helper_adapter *a = &f->adapters[f->adapters_n];

    *a = (struct ip_helper_adapter){.luid = (uint64_t)atoi(w[1]), .up = strcmp(w[2], "up") == 0};
    a->ifindex = (uint32_t)a->luid + 100;
    a->ifindex_v6 = (uint32_t)a->luid + 200;
    snprintf(a->name, sizeof a->name, "%s", w[3]);
    f->metrics[f->adapters_n++] = (uint32_t)atoi(w[4]);
    for (unsigned i = 5; i < n; i++)
        a->addresses[a->addresses_n++] = prefix(w[i]);
}

static inline void fake_add_route(struct fake_helper *f, char **w, unsigned n)
{
    struct ip_helper_route *r = &f->routes[f->routes_n++];

    *r = (struct ip_helper_route){.luid = (uint64_t)atoi(w[1]), .dst = prefix(w[2])};
    r->next_hop.family = r->dst.ip.family;
    for (unsigned i = 3; i + 1 < n; i += 2) {
        if (strcmp(w[i], "via") == 0)
            r->next_hop = addr(w[i + 1]);
        if (strcmp(w[i], "metric") == 0)
            r->metric = (uint32_t)atoi(w[i + 1]);
    }
}

static inline void fake_helper_describe(struct fake_helper *f, const char *const *lines)
{
    for (; *lines; lines++) {
        char text[256], *w[16];
        unsigned n = 0;
        snprintf(text, sizeof text, "%s", *lines);
        for (char *p = text; *p && n < ARRAY_LEN(w);) {
            while (*p == ' ')
                *p++ = '\0';
            if (*p)
                w[n++] = p;
            while (*p && *p != ' ')
                p++;
        }
        if (strcmp(w[0], "adapter") == 0)
            fake_add_adapter(f, w, n);
        else
            fake_add_route(f, w, n);
    }
}

#endif
