/* SPDX-License-Identifier: Apache-2.0 */
/* See network_filter.h. */
#include "platform/windows/network_filter.h"

#include <string.h>

void network_filter_init(struct network_filter *f)
{
    memset(f, 0, sizeof *f);
}

/* Its entry, new if there is none; with too many the oldest but the ignored ones makes room. */
static struct network_entry *entry_of(struct network_filter *f, const uint8_t id[NETWORK_ID_LEN])
{
    struct network_entry *e = NULL;

    for (unsigned i = 0; i < f->n; i++) {
        if (memcmp(f->networks[i].id, id, NETWORK_ID_LEN) == 0)
            return &f->networks[i];
    }
    if (f->n < NETWORKS_MAX)
        e = &f->networks[f->n++];
    for (unsigned i = 0; i < NETWORKS_MAX && !e; i++) {
        struct network_entry *old = &f->networks[f->next++ % NETWORKS_MAX];
        if (!old->ignored)
            e = old;
    }
    if (!e)
        return NULL;
    memset(e, 0, sizeof *e);
    memcpy(e->id, id, NETWORK_ID_LEN);
    return e;
}

void network_filter_profile(struct network_filter *f, const uint8_t id[NETWORK_ID_LEN],
                            uint32_t name_type)
{
    struct network_entry *e = entry_of(f, id);

    if (e)
        e->ignored =
            name_type != NETWORK_WIRED && name_type != NETWORK_WIFI && name_type != NETWORK_MOBILE;
}

bool network_filter_changed(struct network_filter *f, const uint8_t id[NETWORK_ID_LEN],
                            uint32_t connectivity)
{
    struct network_entry *e = entry_of(f, id);

    if (!e)
        return true;
    if (e->ignored || (e->known && e->connectivity == connectivity))
        return false;
    e->known = true;
    e->connectivity = connectivity;
    return true;
}
