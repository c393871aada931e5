/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantities as text: a decimal number and its unit, "10ms", "0.1%", "100mbit", "1MB". Only a zero needs no unit. Sans-IO.
 * Each _parse takes the whole text or refuses it: numbers out of range, and digits that the unit cannot hold. Each _format writes
 * the shortest text that is parsed as the same value, and returns `buf`.
 */
#ifndef FZ_TOOLS_FZLINK_VALUE_H
#define FZ_TOOLS_FZLINK_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/time.h"

enum {
    VALUE_TEXT_MAX = 32
};

#define VALUE_DURATION_MAX (60 * NS_PER_SEC)
#define VALUE_RATE_MIN     UINT64_C(1000) /* below, a packet is on the line for too long */
#define VALUE_RATE_MAX     UINT64_C(1000000000000)
#define VALUE_QUEUE_MAX    UINT64_C(1000000000000)

/* ns, us, ms, s; at most a minute. */
bool value_duration_parse(time_ns *out, const char *text);
char *value_duration_format(time_ns v, char buf[VALUE_TEXT_MAX]);

/* %; in millionths, at most 100 %. */
bool value_share_parse(uint32_t *out, const char *text);
char *value_share_format(uint32_t v, char buf[VALUE_TEXT_MAX]);

/* bit, kbit, mbit, gbit (per second), any case; from 1 kbit to 1000 gbit, or 0 and "none": no limit. */
bool value_rate_parse(uint64_t *out, const char *text);
char *value_rate_format(uint64_t v, char buf[VALUE_TEXT_MAX]);

/* Without unit: packets. B, KB, MB, GB: bytes, in steps of 1000. 0 and "none": no limit; the other one is 0 in any case. */
bool value_queue_parse(uint64_t *packets, uint64_t *bytes, const char *text);
char *value_queue_format(uint64_t packets, uint64_t bytes, char buf[VALUE_TEXT_MAX]);

#endif
