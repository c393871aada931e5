/* SPDX-License-Identifier: Apache-2.0 */
/*
 * firezone-headless-client: from the command line to the command. What makes it fail is one line on stderr. All else is in the
 * log, which is on stdout where the portal's other clients have it, and on stderr for `wireguard`. Exit code: 0 after a requested stop, 2 for wrong usage, 77 for a rejected token, else 1.
 */
#include <stdlib.h>

#include "control/program.h"
#include "control/report.h"
#include "control/sign.h"
#include "control/standalone.h"
#include "control/version.h"
#include "control/wireguard.h"

const char report_program[] = OPTIONS_PROGRAM;

static int run(const struct options *o, struct secret *token)
{
    switch (o->action) {
    case OPTIONS_HELP:
        return report_text("%s", o->help);
    case OPTIONS_VERSION:
        return report_text(OPTIONS_PROGRAM " " FZ_VERSION "\n");
    case OPTIONS_SIGN_IN:
        return sign_in_main(o);
    case OPTIONS_SIGN_OUT:
        return sign_out_main(o);
    case OPTIONS_RUN:
        return standalone_main(o, token);
    case OPTIONS_CHECK_WIREGUARD:
    case OPTIONS_RUN_WIREGUARD:
        return wireguard_main(o);
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct program p;
    int code = program_begin(&p, OPTIONS_CLIENT, argc, argv);

    if (code == EXIT_SUCCESS)
        code = run(&p.options, &p.token);
    program_end(&p);
    return code;
}
