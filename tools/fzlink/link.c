/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzlink/link.h"

#include <string.h>

static enum err start_lane(struct link *l, enum direction direction,
                           const struct link_config *config, struct why why)
{
    struct end *from = l->ends[direction == A_TO_B ? 0 : 1];
    struct end *to = l->ends[direction == A_TO_B ? 1 : 0];
    const struct lane_config lane = {.name = direction == A_TO_B ? "fzlink-a-b" : "fzlink-b-a",
                                     .from = end_fd(from),
                                     .to = end_fd(to),
                                     .mtu = config->mtu,
                                     .offloads = end_offloads(to),
                                     /* The directions are not each other's mirror. */
                                     .seed = 2 * config->seed + (uint64_t)direction,
                                     .broken = config->broken,
                                     .arg = config->arg};
    enum err err = lane_start(&l->lanes[direction], &lane, &config->settings.of[direction]);

    return err == ERR_OK ? ERR_OK : why_fail(why, err, "cannot start a thread: %s", err_text(err));
}

enum err link_open(struct link *l, const struct link_config *config, struct why why)
{
    enum err err = ERR_OK;

    memset(l, 0, sizeof *l);
    l->settings = config->settings;
    for (unsigned i = 0; err == ERR_OK && i < LINK_ENDS; i++)
        err = end_open(&l->ends[i], &config->ends[i], config->mtu, config->offloads, why);
    for (unsigned i = 0; err == ERR_OK && i < DIRECTIONS; i++)
        err = start_lane(l, (enum direction)i, config, why);
    if (err != ERR_OK)
        link_close(l);
    return err;
}

void link_close(struct link *l)
{
    for (unsigned i = 0; i < DIRECTIONS; i++)
        lane_stop(l->lanes[i]);
    for (unsigned i = 0; i < LINK_ENDS; i++)
        end_close(l->ends[i]);
    memset(l, 0, sizeof *l);
}

void link_set(struct link *l, const struct settings *settings)
{
    l->settings = *settings;
    for (unsigned i = 0; i < DIRECTIONS; i++)
        lane_set(l->lanes[i], &settings->of[i]);
}

void link_read_stats(struct link *l, enum direction direction, struct link_stats *out)
{
    lane_read_stats(l->lanes[direction], &out->lane);
    out->overruns = end_overruns(l->ends[direction == A_TO_B ? 0 : 1]);
}
