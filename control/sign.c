/* SPDX-License-Identifier: Apache-2.0 */
#include "control/sign.h"

#include <stdlib.h>
#include <string.h>

#include "control/options.h"
#include "control/report.h"
#include "control/sign_url.h"
#include "control/token.h"
#include "platform/file.h"
#include "platform/paths.h"
#include "platform/process.h"
#include "platform/terminal.h"

static const char *token_path(const struct options *o)
{
    return o->token_path ? o->token_path : paths_token();
}

static int introduce(const struct options *o)
{
    char url[SIGN_URL_MAX];

    if (sign_url_make(url, o->auth_url, o->account_slug) != ERR_OK)
        return report_failure("the URL to sign in with is too long");
    return report_text("Sign in to Firezone\n"
                       "\n"
                       "1. Open this page in a web browser, on any machine:\n"
                       "\n"
                       "       %s\n"
                       "\n"
                       "2. Sign in there, and copy the token that the page shows.\n"
                       "3. Paste it here and press Enter. It will not be shown.\n"
                       "\n",
                       url);
}

int sign_in_main(const struct options *o)
{
    const char *path = token_path(o);
    struct secret token = {0};
    char why[REPORT_WHY_MAX];
    int code = EXIT_SUCCESS;

    if (!process_is_administrator())
        return report_failure("sign-in must be run as root: the token is stored for root alone");
    if (terminal_has_person())
        code = introduce(o);
    if (code != EXIT_SUCCESS)
        return code;
    if (terminal_read_secret(&token, TOKEN_MAX, "Token: ", why, sizeof why) != ERR_OK ||
        token_check(&token, "the token", why, sizeof why) != ERR_OK ||
        token_store(&token, path, why, sizeof why) != ERR_OK)
        code = report_failure("%s", why);
    else
        code = report_text("The token is stored in %s.\n", path);
    secret_free(&token);
    return code;
}

/* y or yes, in either case. */
static bool is_yes(const char *answer)
{
    size_t first = strspn(answer, " \t"), len = strcspn(answer + first, " \t");
    char word[4] = "";

    if (len >= sizeof word || answer[first + len + strspn(answer + first + len, " \t")] != '\0')
        return false;
    for (size_t i = 0; i < len; i++)
        word[i] = (char)(answer[first + i] | 0x20);
    return strcmp(word, "y") == 0 || strcmp(word, "yes") == 0;
}

int sign_out_main(const struct options *o)
{
    const char *path = token_path(o);
    char answer[64], why[REPORT_WHY_MAX];

    file_forget_unfinished(path); /* of a sign-in that was killed */
    if (!file_exists(path))
        return report_text("Nobody is signed in: there is no %s.\n", path);
    if (!o->force) {
        report_text("The token in %s will be removed. It cannot be restored:\n"
                    "to sign in again takes a new one.\n",
                    path);
        terminal_ask(answer, sizeof answer, "Remove it? [y/N] ");
        if (!is_yes(answer))
            return report_text("Nothing was removed.\n");
    }
    enum err err = file_remove(path, why, sizeof why);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return report_failure("cannot remove %s: %s", path, why);
    return report_text("Signed out: %s is removed.\n", path);
}
