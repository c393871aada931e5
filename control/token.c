/* SPDX-License-Identifier: Apache-2.0 */
#include "control/token.h"

#include <stdio.h>

#include "control/options.h"
#include "control/report.h"
#include "control/token_text.h"
#include "platform/file.h"
#include "platform/paths.h"

enum {
    REASON_MAX = 160
};

enum err token_check(struct secret *token, const char *what, char *why, unsigned why_size)
{
    enum err err = token_text_clean(token->text, &token->len);

    if (err == ERR_OK)
        return ERR_OK;
    snprintf(why, why_size, "%s: %s", what,
             err == ERR_NOT_FOUND ? "it is empty" : "it has characters that no token has");
    secret_free(token);
    return ERR_INVALID;
}

enum err token_take_variable(struct secret *out, char *why, unsigned why_size)
{
    if (!secret_take_variable(out, TOKEN_VARIABLE))
        return ERR_OK;
    if (out->len > TOKEN_MAX) {
        snprintf(why, why_size, "$%s: it is larger than %d KiB", TOKEN_VARIABLE, TOKEN_MAX >> 10);
        secret_free(out);
        return ERR_INVALID;
    }
    return token_check(out, "$" TOKEN_VARIABLE, why, why_size);
}

enum err token_load_credential(struct secret *out, char *why, unsigned why_size)
{
    static const char what[] = "the credential " TOKEN_VARIABLE;
    char reason[REASON_MAX];
    enum err err = secret_read_credential(out, TOKEN_VARIABLE, TOKEN_MAX, reason, sizeof reason);

    if (err == ERR_OK)
        return token_check(out, what, why, why_size);
    if (err == ERR_NOT_FOUND)
        snprintf(why, why_size,
                 "there is no token: neither $" TOKEN_VARIABLE
                 " nor a credential of that name is set");
    else
        snprintf(why, why_size, "%s: %s", what, reason);
    return err;
}

enum err token_load(struct secret *out, const char *path, char *why, unsigned why_size)
{
    char reason[REASON_MAX], what[REPORT_WHY_MAX];
    enum err err = path ? ERR_NOT_FOUND : token_load_credential(out, why, why_size);

    if (err != ERR_NOT_FOUND)
        return err;
    if (!path)
        path = paths_token();
    snprintf(what, sizeof what, "the token file %s", path);
    err = secret_read_file(out, path, TOKEN_MAX, reason, sizeof reason);
    if (err == ERR_OK)
        return token_check(out, what, why, why_size);
    if (err == ERR_NOT_FOUND || err == ERR_PERMISSION)
        snprintf(why, why_size,
                 "there is no token: $" TOKEN_VARIABLE " is not set, and %s: %s; run '%s sign-in'",
                 what, reason, OPTIONS_PROGRAM);
    else
        snprintf(why, why_size, "%s: %s", what, reason);
    return err;
}

enum err token_store(const struct secret *token, const char *path, char *why, unsigned why_size)
{
    char reason[REASON_MAX];
    enum err err = file_make_folder_of(path, reason, sizeof reason);

    if (err == ERR_OK)
        err = file_write(path, token->text, token->len, FILE_SECRET | FILE_REPLACE, reason,
                         sizeof reason);
    if (err != ERR_OK)
        snprintf(why, why_size, "cannot store the token in %s: %s", path, reason);
    return err;
}
