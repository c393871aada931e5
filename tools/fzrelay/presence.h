/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay's presence at the portal: while its channel is up, the portal announces it with credentials made from the secret.
 * Control role. Source: spec/portal.md 9.
 */
#ifndef FZ_TOOLS_FZRELAY_PRESENCE_H
#define FZ_TOOLS_FZRELAY_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/portal/url.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/loop.h"

struct presence;

/* What is pointed to is borrowed until presence_free, but the secret. */
struct presence_options {
    const struct url *url;
    const char *token, *name;
    const char *ca_file;             /* NULL: the system's store alone */
    struct ip_addr public4, public6; /* ADDR_NONE: none */
    uint16_t port;                   /* where clients come in */
    const char *stamp_secret;
};

struct presence_events {
    void (*joined)(void *arg);
    /* No further attempt is made; why: one sentence. */
    void (*ended)(void *arg, const char *why);
};

/* On failure `why` is one sentence. */
enum err presence_new(struct presence **out, struct loop *l, const struct presence_options *o,
                      const struct presence_events *events, void *arg, char *why,
                      unsigned why_size) MUST_USE;
void presence_free(struct presence *p);
/* Joins again, with another secret: another relay for everybody. On failure nothing has changed. Not from a callback. */
enum err presence_set_secret(struct presence *p, const char *stamp_secret, char *why,
                             unsigned why_size) MUST_USE;

#endif
