/* SPDX-License-Identifier: Apache-2.0 */
/* See standalone.h. */
#include "control/standalone.h"

#include "control/client.h"
#include "control/member_main.h"
#include "control/options.h"
#include "control/portal/identity.h"
#include "control/token.h"
#include "control/version.h"
#include "platform/paths.h"

static enum err load_token(struct secret *out, const struct options *o, char *why,
                           unsigned why_size)
{
    return token_load(out, o->token_path, why, why_size);
}

static enum member_end run(const struct member_options *m, const struct options *o, char *why,
                           unsigned why_size)
{
    const struct client_options client = {.member = *m, .internet_resource = o->internet_resource};
    return client_run(&client, why, why_size);
}

int standalone_main(const struct options *o, struct secret *token)
{
    const struct member_kind kind = {
        .noun = "client",
        .component = "headless-client",
        .version = FZ_PORTAL_VERSION,
        .endpoint = CLIENT_ENDPOINT,
        .id = {paths_config(), PATHS_DEVICE_ID_FILE, IDENTITY_KEY_CLIENT},
        .firmware = true,
        .load_token = load_token,
        .run = run,
    };

    return member_main(o, token, &kind);
}
