/* SPDX-License-Identifier: Apache-2.0 */
/* Test build only: see keylog.h. */
#include "control/keylog.h"

#ifdef FZ_KEYLOG
#include <stdio.h>
#include <stdlib.h>

#include "control/key_text.h"

static void write_line(const char *name, const uint8_t key[32])
{
    char text[KEY_BASE64_LEN + 1];
    const char *path = getenv("FZ_KEYLOG");
    FILE *f = path ? fopen(path, "ae") : NULL;
    if (!f)
        return;
    key_base64_encode(text, key);
    fprintf(f, "%s = %s\n", name, text);
    fclose(f);
}

void keylog_identity(const uint8_t private_key[32])
{
    write_line("LOCAL_STATIC_PRIVATE_KEY", private_key);
}

void keylog_remote(const uint8_t public_key[32])
{
    write_line("REMOTE_STATIC_PUBLIC_KEY", public_key);
}

void keylog_psk(const uint8_t psk[32])
{
    write_line("PRESHARED_KEY", psk);
}

void keylog_ephemeral(const uint8_t private_key[32])
{
    write_line("LOCAL_EPHEMERAL_PRIVATE_KEY", private_key);
}
#endif
