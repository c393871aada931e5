/* SPDX-License-Identifier: Apache-2.0 */
/* See standalone.h. */
#include "control/standalone.h"

#include "control/client.h"
#include "control/member_main.h"
#include "control/options.h"
#include "control/portal/identity.h"
#include "control/token.h"
#include "control/version.h"
#include "platform/base/log.h"
#include "platform/dns_control.h"
#include "platform/paths.h"

#define MODULE "main"

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

static void log_without_effect(const struct options *o)
{
    if (o->dns_asked)
        log_warn(MODULE, "%s: it has no effect yet, names are resolved as before", o->dns_asked);
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

    log_without_effect(o);
    dns_control_recover();
    return member_main(o, token, &kind);
}
