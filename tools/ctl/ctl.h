/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of the control interface: command lines and lines on the control socket, to JSON and back. Sans-IO; control role.
 *
 * A line on the socket is one JSON object, {"command":"kick","device":"laptop"}, and so is each answer: {"ok":true,...} or
 * {"ok":false,"error":"..."}, in the order of the commands. On the command line that is `TOOL ctl kick device=laptop`.
 */
#ifndef FZ_TOOLS_CTL_CTL_H
#define FZ_TOOLS_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "platform/base/err.h"

enum {
    CTL_LINE_MAX = 1 << 20,
    CTL_ANSWER_MAX = 1 << 24
};

/* A command that a tool obeys, for its list of them. */
struct ctl_help {
    const char *name, *arguments, *what;
};

/* The value of this key is a text, whatever it looks like. */
typedef bool (*ctl_text_fn)(const char *command, const char *key, size_t key_len);

/*
 * is_text: NULL: nothing is known of any. COMMAND [KEY=VALUE]...: a value that is a number, true, false, null, an object or an array in JSON is that, everything else is a
 * string; of KEY:=VALUE the value must be JSON, and so KEY:="7" is a string. On ERR_PARSE `why` is one sentence.
 */
enum err ctl_build(json_t **out, int argc, char *const *argv, ctl_text_fn is_text, char *why,
                   unsigned why_size) MUST_USE;

/* A line without its end. ERR_PARSE: no JSON object with a "command"; `why` is one sentence. */
enum err ctl_parse(json_t **out, const char *line, size_t len, char *why,
                   unsigned why_size) MUST_USE;

/* What is answered to a line that says nothing. */
json_t *ctl_error(const char *why);

/* False: the answer tells of a failure, with its text in *error (borrowed; NULL: it is no answer at all). */
bool ctl_succeeded(const json_t *answer, const char **error);

#endif
