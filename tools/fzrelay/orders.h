/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a running relay is told on its control socket: `fzrelay ctl COMMAND [KEY=VALUE]...`, and the answers. Control role.
 */
#ifndef FZ_TOOLS_FZRELAY_ORDERS_H
#define FZ_TOOLS_FZRELAY_ORDERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "platform/base/err.h"
#include "platform/base/time.h"
#include "tools/ctl/ctl.h"
#include "tools/fzrelay/relay.h"
#include "tools/fzrelay/udp_batch.h"

struct orders {
    struct relay_server *relay;
    /* NULL: there are no sockets. */
    const struct inbox_stats *received;
    const struct outbox_stats *sent;
    /* The secret was changed: tell the portal. On failure, after which it stays what it was, `why` is one sentence. */
    enum err (*secret_changed)(void *arg, const char *secret, char *why, unsigned why_size);
    void *arg;
};

/* As ctl_text_fn. */
bool orders_is_text(const char *command, const char *key, size_t key_len);

/* NULL: no more. */
const struct ctl_help *orders_at(size_t i);

/* Returns the answer, a new reference. */
json_t *orders_handle(const struct orders *o, time_ns now, const json_t *command);

#endif
