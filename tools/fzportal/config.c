/* SPDX-License-Identifier: Apache-2.0 */
/* See config.h. */
#include "tools/fzportal/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

enum err portal_config_load(struct portal_config *out, const char *path, char *why,
                            unsigned why_size)
{
    (void)path;
    (void)why;
    (void)why_size;
    memset(out, 0, sizeof *out);
    ASSERT(sock_addr_parse(&out->listen, "127.0.0.1:8081") == ERR_OK);
    return ERR_OK;
}

void portal_config_fini(struct portal_config *c)
{
    memset(c, 0, sizeof *c);
}
