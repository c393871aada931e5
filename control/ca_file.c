/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ca_file.h"

#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "platform/file.h"

enum {
    CA_FILE_MAX = 4 << 20
};

static bool has_certificate(const char *path)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    bool has = ctx && SSL_CTX_load_verify_locations(ctx, path, NULL) == 1;

    SSL_CTX_free(ctx);
    ERR_clear_error();
    return has;
}

enum err ca_file_check(const char *path, char *why, unsigned why_size)
{
    struct file_content content;
    char reason[128];
    enum err err = file_read(&content, path, CA_FILE_MAX, reason, sizeof reason);

    if (err != ERR_OK) {
        snprintf(why, why_size, "the certificates in %s: %s", path, reason);
        return err;
    }
    file_content_wipe(&content);
    if (has_certificate(path))
        return ERR_OK;
    snprintf(why, why_size, "the certificates in %s: it holds none (PEM)", path);
    return ERR_INVALID;
}
