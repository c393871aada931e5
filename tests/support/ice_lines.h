/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two ends of the ICE interoperation test have in common: lines on stdin and stdout, and a datagram for a text.
 *
 *   in:   ufrag U password P        the peer's
 *         candidate:...             of the peer
 *         send TEXT
 *         quit
 *   out:  ufrag U password P        our own; from then on the peer's may come
 *         candidate:...             of our own
 *         refused LINE              a candidate of no use
 *         state STATE
 *         selected LOCAL REMOTE ...
 *         data TEXT ...
 *
 * The datagram looks like a data message of WireGuard, as the node lets nothing else through.
 */
#ifndef FZ_TESTS_ICE_LINES_H
#define FZ_TESTS_ICE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    ICE_LINE_MAX = 1024,
    ICE_DATA_HEADER = 16,
    ICE_DATA_TEXT_MAX = 32,
    ICE_DATA_LEN = ICE_DATA_HEADER + ICE_DATA_TEXT_MAX
};

/* False: the text is too long. */
static inline bool ice_data_write(uint8_t out[ICE_DATA_LEN], const char *text)
{
    size_t len = strlen(text);

    if (len > ICE_DATA_TEXT_MAX)
        return false;
    memset(out, 0, ICE_DATA_LEN);
    out[0] = 4;
    memcpy(out + ICE_DATA_HEADER, text, len);
    return true;
}

/* False: it is not from ice_data_write. */
static inline bool ice_data_read(char out[ICE_DATA_TEXT_MAX + 1], const void *bytes, size_t len)
{
    static const uint8_t header[ICE_DATA_HEADER] = {4};

    if (len != ICE_DATA_LEN || memcmp(bytes, header, sizeof header) != 0)
        return false;
    memcpy(out, (const uint8_t *)bytes + ICE_DATA_HEADER, ICE_DATA_TEXT_MAX);
    out[ICE_DATA_TEXT_MAX] = '\0';
    return true;
}

/* The two words of "ufrag U password P", terminated in the line. False: it is none. */
static inline bool ice_line_credentials(char *line, char **ufrag, char **password)
{
    static const char first[] = "ufrag ", second[] = " password ";
    char *at;

    if (strncmp(line, first, sizeof first - 1) != 0)
        return false;
    at = strstr(line, second);
    if (!at)
        return false;
    *at = '\0';
    *ufrag = line + sizeof first - 1;
    *password = at + sizeof second - 1;
    return true;
}

#endif
