/* SPDX-License-Identifier: Apache-2.0 */
#include "control/tunnel_gateway.h"

#include "control/tunnel_private.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"

/* Without memory it would have what is taken from it now. */
void tunnel_gateway_grants(struct tunnel_peer *p, const struct engine_grants *grants)
{
    enum err err = engine_set_grants(p->tunnel->engine, p->engine_peer, grants);

    ASSERT(err == ERR_OK);
}

void tunnel_gateway_forget(struct tunnel *t, uint32_t client)
{
    tunnel_command(t, tunnel_worker_of_group(t, client),
                   &(struct command){.kind = COMMAND_CLIENT_FORGET, .slot = client});
}

/* By the same queue as the peer itself, so that its removal comes after this. */
void tunnel_gateway_translate(struct tunnel_peer *p, struct tunnel_translation *x)
{
    struct command c = {.kind = COMMAND_TRANSLATE, .slot = p->slot, .translation = &x->engine};

    ASSERT(x->engine.n <= ENGINE_TRANSLATION_MAX);
    x->engine.slot = p->slot;
    tunnel_command(p->tunnel, p->owner, &c);
}

void tunnel_gateway_translated(struct engine_translation *translation, bool done)
{
    struct tunnel_translation *x = CONTAINER_OF(translation, struct tunnel_translation, engine);

    x->done(x, done);
}
