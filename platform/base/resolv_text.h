/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of resolv.conf(5): what stands in it while the system asks resolvers of ours, and how one sees that it does.
 *
 * Three texts follow each other in the file: the original, the original with a tail of comments (RESOLV_TEXT_TAIL) that means
 * the same, and ours, which begins with RESOLV_TEXT_MARKER; then back the same way. platform/linux/resolv_file.h says why.
 *
 * Pure; any thread. Source: spec/platform.md 2.5.
 */
#ifndef FZ_BASE_RESOLV_TEXT_H
#define FZ_BASE_RESOLV_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

/* Byte 0 of the file, known to other programs. */
#define RESOLV_TEXT_MARKER "# BEGIN Firezone DNS configuration"
/* Behind the original; line feeds may follow it. */
#define RESOLV_TEXT_TAIL "\n# Firezone is changing this file\n"

enum {
    RESOLV_TEXT_MAX = 4000, /* bytes of ours; with the tail of such a text still one page of 4096 */
    RESOLV_TEXT_TAIL_LEN = sizeof RESOLV_TEXT_TAIL - 1
};

struct resolv_text_wish {
    const struct ip_addr *servers;
    unsigned servers_n; /* not 0 */
    const char *const *search;
    unsigned search_n;
    const char *backup; /* where the original is kept, for whoever reads the file */
};

/*
 * Ours for an original of `len` bytes: its options and sort list, but our servers and search domains, and ndots:1. Lines that
 * mean nothing are left out, as the C library ignores them. ERR_NO_SPACE: would be longer than RESOLV_TEXT_MAX.
 * ERR_INVALID: a search domain with white space or bytes that are not ASCII.
 */
enum err resolv_text_rewrite(char out[RESOLV_TEXT_MAX], size_t *out_len, const char *text,
                             size_t len, const struct resolv_text_wish *wish) MUST_USE;

bool resolv_text_is_ours(const char *text, size_t len);
/* It is the original with a tail, and not the original itself. */
bool resolv_text_is_tailed(const char *text, size_t len, const char *original, size_t original_len);

#endif
