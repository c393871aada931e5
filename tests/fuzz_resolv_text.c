/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as resolv.conf. With our servers it names these and no other, at one size, and rewriting the result changes nothing
 * more. The first bytes choose the settings.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/resolv_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SERVERS_MAX = 8
};

static bool is_server(const char *line, const struct ip_addr *want)
{
    char text[IP_TEXT_MAX];
    struct ip_addr ip;
    size_t n = strcspn(line + 11, "\n");

    ASSERT(n < sizeof text);
    memcpy(text, line + 11, n);
    text[n] = '\0';
    return ip_addr_parse(&ip, text) == ERR_OK && ip_addr_equal(&ip, want);
}

static void check_lines(const char *text, size_t len, const struct resolv_text_wish *wish)
{
    unsigned search = 0, options = 0, servers = 0;

    ASSERT(len <= RESOLV_TEXT_MAX && resolv_text_is_ours(text, len) && text[len - 1] == '\n');
    for (const char *line = text; line < text + len; line = strchr(line, '\n') + 1) {
        search += strncmp(line, "search ", 7) == 0;
        if (strncmp(line, "nameserver ", 11) == 0) {
            ASSERT(servers < wish->servers_n && is_server(line, &wish->servers[servers]));
            servers++;
        }
        options += strncmp(line, "options ", 8) == 0;
    }
    ASSERT(servers == wish->servers_n && search == (wish->search_n > 0) && options == 1 &&
           strstr(text, " ndots:1\n"));
    ASSERT(strlen(text) == len);
}

static void check(const char *text, size_t len, const struct resolv_text_wish *wish)
{
    char first[RESOLV_TEXT_MAX + 1], second[RESOLV_TEXT_MAX];
    size_t first_len, second_len;

    enum err err = resolv_text_rewrite(first, &first_len, text, len, wish);
    if (err != ERR_OK) {
        ASSERT(err == ERR_NO_SPACE && first_len == 0 && len > 1024);
        return;
    }
    first[first_len] = '\0';
    check_lines(first, first_len, wish);
    ASSERT(resolv_text_rewrite(second, &second_len, first, first_len, wish) == ERR_OK);
    ASSERT(second_len == first_len && memcmp(second, first, first_len) == 0);
    ASSERT(!resolv_text_is_tailed(text, len, text, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const search[] = {"a.example", "b"};
    struct ip_addr servers[SERVERS_MAX];
    struct resolv_text_wish wish = {
        .servers = servers, .search = search, .backup = "/etc/resolv.conf.before-firezone"};

    if (size < 2)
        return 0;
    wish.servers_n = data[0] % SERVERS_MAX + 1;
    wish.search_n = data[1] % 3;
    for (unsigned i = 0; i < wish.servers_n; i++) {
        const uint8_t v4[4] = {10, data[0], data[1], (uint8_t)i};
        const uint8_t v6[16] = {0xfd, data[0], [15] = (uint8_t)i};
        servers[i] = i % 2 ? ip_addr_v6(v6) : ip_addr_v4(v4);
    }
    char *exact = malloc(size - 2 > 0 ? size - 2 : 1);
    ASSERT(exact);
    memcpy(exact, data + 2, size - 2);
    check(exact, size - 2, &wish);
    free(exact);
    return 0;
}
