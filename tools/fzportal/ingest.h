/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens with which devices may upload flow logs: compact JWTs. Nothing of this portal takes uploads, but peers insist on the
 * tokens' form. Source: spec/portal.md 11.
 */
#ifndef FZ_TOOLS_FZPORTAL_INGEST_H
#define FZ_TOOLS_FZPORTAL_INGEST_H

#include "tools/fzportal/model.h"

/* What both copies of an authorisation's token say. */
struct ingest {
    const struct device *initiator, *responder;
    const struct resource *resource;
    const struct policy *policy;
    struct portal_id authorization;
    int64_t expires_at;
};

/* A new reference. initiator: the copy of the one that asked. */
json_t *portal_ingest_token(const struct portal *p, const struct ingest *i, bool initiator);
/* The member `flow_logs` of an init. */
json_t *portal_flow_logs(const struct portal *p);

#endif
