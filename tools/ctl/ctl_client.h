/* SPDX-License-Identifier: Apache-2.0 */
/* `TOOL ctl`: one command to a running tool, and its answer. Waits; any thread. */
#ifndef FZ_TOOLS_CTL_CTL_CLIENT_H
#define FZ_TOOLS_CTL_CTL_CLIENT_H

#include <jansson.h>

#include "platform/base/err.h"
#include "platform/base/time.h"

/*
 * answer: a new reference. timeout: for all of it. On failure `why` is one clear sentence: ERR_UNREACHABLE (nobody listens at
 * `path`), ERR_PERMISSION (another user than this one and root does), ERR_TIMEOUT, ERR_CLOSED, ERR_PARSE (no JSON), ERR_NO_SPACE
 * (CTL_ANSWER_MAX), ERR_IO.
 */
enum err ctl_call(json_t **answer, const char *path, const json_t *command, time_ns timeout,
                  char *why, unsigned why_size) MUST_USE;

#endif
