/* SPDX-License-Identifier: Apache-2.0 */
/* platform/source.h on Windows: source_best over the system's IP Helper. */
#include "platform/windows/source_private.h"

#include <stdlib.h>

#include "platform/base/mem.h"

enum err source_new(struct source **out, const struct source_config *config)
{
    struct source *s = mem_zalloc(1, sizeof *s);

    s->helper = ip_helper_system();
    s->tun_luid =
        config->tun_luid ? config->tun_luid : source_best_luid(s->helper, config->tun_ifindex);
    *out = s;
    return ERR_OK;
}

void source_free(struct source *s)
{
    free(s);
}

/* The list of adapters knows the LUID of an index. */
void source_set_tun(struct source *s, uint32_t ifindex)
{
    s->tun_luid = source_best_luid(s->helper, ifindex);
}

enum err source_resolve(struct source *s, const struct ip_addr *dst, struct ip_source *out)
{
    struct source_best best;
    enum err err = source_best(s->helper, s->tun_luid, dst, &best);

    *out = best.source;
    return err;
}

uint32_t source_interface(struct source *s, const struct ip_addr *address)
{
    return source_best_interface(s->helper, s->tun_luid, address);
}
