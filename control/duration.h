/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durations as people write them: "90s", "1h 30m", "30d". One or more whole numbers with a unit each, in any order, with or
 * without spaces; their sum counts. Pure; any thread. Source: the grammar of the humantime crate, spec/platform.md 6.
 */
#ifndef FZ_CONTROL_DURATION_H
#define FZ_CONTROL_DURATION_H

#include "platform/base/err.h"
#include "platform/base/time.h"

/*
 * Units: ns, us, ms, s, m, h, d, w, M (month, 30.44 days), y (365.25 days) and their longer names; "0" needs none. What is
 * longer than `time_ns` can say becomes TIME_NEVER. ERR_PARSE: not of this form.
 */
enum err duration_parse(time_ns *out, const char *text) MUST_USE;

#endif
