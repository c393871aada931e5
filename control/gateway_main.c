/* SPDX-License-Identifier: Apache-2.0 */
/*
 * firezone-gateway: from the command line to the run. What makes it fail is one line on stderr, all else is in the log on stdout.
 * Exit code: as the client's.
 */
#include <stdlib.h>

#include "control/gateway.h"
#include "control/member_main.h"
#include "control/portal/identity.h"
#include "control/program.h"
#include "control/report.h"
#include "control/token.h"
#include "control/version.h"
#include "platform/paths.h"

const char report_program[] = OPTIONS_PROGRAM_GATEWAY;

static enum err load_token(struct secret *out, const struct options *o, char *why,
                           unsigned why_size)
{
    (void)o;
    return token_load_credential(out, why, why_size);
}

static enum member_end run_gateway(const struct member_options *m, const struct options *o,
                                   char *why, unsigned why_size)
{
    return gateway_run(m, o->forward, why, why_size);
}

static int run(const struct options *o, struct secret *token)
{
    const struct member_kind kind = {
        .noun = "gateway",
        .component = "gateway",
        .version = FZ_PORTAL_GATEWAY_VERSION,
        .endpoint = GATEWAY_ENDPOINT,
        .id = {paths_gateway(), PATHS_GATEWAY_ID_FILE, IDENTITY_KEY_GATEWAY},
        .load_token = load_token,
        .run = run_gateway,
    };

    switch (o->action) {
    case OPTIONS_HELP:
        return report_text("%s", o->help);
    case OPTIONS_VERSION:
        return report_text(OPTIONS_PROGRAM_GATEWAY " " FZ_VERSION "\n");
    case OPTIONS_RUN:
        return member_main(o, token, &kind);
    case OPTIONS_SIGN_IN:
    case OPTIONS_SIGN_OUT:
    case OPTIONS_CHECK_WIREGUARD:
    case OPTIONS_RUN_WIREGUARD:
        break; /* commands, of which the gateway has none */
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct program p;
    int code = program_begin(&p, OPTIONS_GATEWAY, argc, argv);

    if (code == EXIT_SUCCESS)
        code = run(&p.options, &p.token);
    program_end(&p);
    return code;
}
