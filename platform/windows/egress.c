/* SPDX-License-Identifier: Apache-2.0 */
/* platform/egress.h on Windows: there are no marks, so sources and interfaces are always looked up. */
#include "platform/egress.h"

#include <stdio.h>

enum err egress_open(struct egress *e, uint32_t mark, bool resolve, const char *module, char *why,
                     unsigned why_size)
{
    const struct source_config config = {.tun_ifindex = 0};

    (void)mark, (void)resolve, (void)module;
    *e = (struct egress){.mark = 0};
    enum err err = source_new(&e->source, &config);
    if (err != ERR_OK)
        snprintf(why, why_size, "the interfaces cannot be listed: %s", err_text(err));
    return err;
}

void egress_close(struct egress *e)
{
    source_free(e->source);
    *e = (struct egress){.mark = 0};
}

void egress_set_tun(struct egress *e, uint32_t ifindex)
{
    if (e->source)
        source_set_tun(e->source, ifindex);
}
