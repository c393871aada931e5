/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_rows.h"

#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzlink/value.h"

enum {
    ROW_NAME_MAX = 128
};

void net_rows_figure(struct net_figures *f, const char *part, const char *detail,
                     const struct net_unit *unit, double value)
{
    ASSERT(f->n < NET_FIGURES_MAX);
    struct net_figure *figure = &f->list[f->n++];
    int n = snprintf(figure->path, sizeof figure->path, "%s/%s", part, detail);

    ASSERT(n > 0 && n < NET_FIGURE_PATH_MAX);
    figure->unit = unit;
    figure->value = value;
}

void net_rows_setting(char *out, size_t size, unsigned mtu, bool offloads)
{
    snprintf(out, size, "mtu%u%s", mtu, offloads ? "" : "-offloads-off");
}

void net_rows_setting_link(char *out, size_t size, const struct net_link_setting *link)
{
    char rtt[VALUE_TEXT_MAX], loss[VALUE_TEXT_MAX];
    size_t n = strlen(out);

    snprintf(out + n, size - n, "-rtt%s-loss%s", value_duration_format(link->rtt, rtt),
             value_share_format(link->loss, loss));
}

static const struct net_figure *find(const struct net_figures *f, const char *path)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->list[i].path, path) == 0)
            return &f->list[i];
    }
    return NULL;
}

/* A ratio to nothing is left out. wireguard-go is the rival; its ratio has the short name. */
static void add_ratio(struct result *r, const char *setting, const struct net_figure *own,
                      const struct net_impl *rival, const struct net_figure *other)
{
    char name[ROW_NAME_MAX];
    bool plain = rival->kind == NET_WIREGUARD_GO;

    if (other == NULL || other->value <= 0)
        return;
    snprintf(name, sizeof name, "net/%s/%s/ratio%s%s", own->path, setting, plain ? "" : "-",
             plain ? "" : rival->name);
    result_add(r, name, "x", own->unit->better, GATE_NONE, own->value / other->value);
}

void net_rows_add(struct result *r, const char *setting, const struct net_impl *impls,
                  const struct net_figures *figures, size_t n)
{
    char name[ROW_NAME_MAX];

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < figures[i].n; k++) {
            const struct net_figure *f = &figures[i].list[k];
            snprintf(name, sizeof name, "net/%s/%s/%s", f->path, setting, impls[i].name);
            result_add(r, name, f->unit->name, f->unit->better, f->unit->gate, f->value);
        }
    }
}

void net_rows_add_ratios(struct result *r, const char *setting, const struct net_impl *impls,
                         const struct net_figures *figures, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t k = 0; k < figures[0].n; k++) {
            const struct net_figure *f = &figures[0].list[k];
            add_ratio(r, setting, f, &impls[i], find(&figures[i], f->path));
        }
    }
}

void net_rows_append(struct result *r, const struct result *more)
{
    for (size_t i = 0; i < more->n; i++) {
        const struct result_row *row = &more->rows[i];
        for (size_t k = 0; k < row->n; k++)
            result_add(r, row->name, row->unit, row->better, row->gate, row->samples[k]);
    }
}

void net_rows_mark(struct result *r, const char *setting, double ceiling_gbit)
{
    char part[ROW_NAME_MAX];

    snprintf(part, sizeof part, "/%s/", setting);
    for (size_t i = 0; i < r->n; i++) {
        const struct result_row *row = &r->rows[i];
        if (strcmp(row->unit, "Gbit/s") == 0 && strstr(row->name, part) != NULL &&
            result_median(row) > ceiling_gbit / 2)
            result_note(r, row->name, "above half of what the link carries");
    }
    snprintf(part, sizeof part, "net/link/ceiling/%s/fzlink", setting);
    result_add(r, part, "Gbit/s", RESULT_NEITHER, GATE_NONE, ceiling_gbit);
}

void net_rows_mark_relayed(struct result *r, const char *setting, const char *impl,
                           const char *kind)
{
    char end[ROW_NAME_MAX], note[ROW_NAME_MAX];
    int n = snprintf(end, sizeof end, "/%s/%s", setting, impl);

    for (size_t i = 0; i < r->n; i++) {
        const struct result_row *row = &r->rows[i];
        size_t len = strlen(row->name);
        if (strcmp(row->unit, "Gbit/s") != 0 || len <= (size_t)n ||
            strcmp(row->name + len - (size_t)n, end) != 0)
            continue;
        snprintf(note, sizeof note, "%s%s", kind,
                 row->better == RESULT_HIGHER ? "; the relay takes its share of the CPUs" : "");
        result_note(r, row->name, note);
    }
}

void net_rows_mark_goals(struct result *r, const char *setting)
{
    static const struct {
        const char *path, *rival;
        double min, max; /* 0: none */
    } goals[] = {
        {"paced/client", "direct", 0, 1.15}, {"paced/gateway", "direct", 0, 1.15},
        {"paced/tunnel", "direct", 0, 1.15}, {"paced/user", "direct", 0, 1.15},
        {"paced/calls", "direct", 0.9, 1.1}, {"tcp1/forward", "wireguard", 0.85, 0},
        {"tcp1/back", "wireguard", 0.85, 0}, {"tcp4/forward", "wireguard", 0.85, 0},
        {"tcp4/back", "wireguard", 0.85, 0},
    };
    char name[ROW_NAME_MAX], note[ROW_NAME_MAX];

    for (size_t i = 0; i < ARRAY_LEN(goals); i++) {
        snprintf(name, sizeof name, "net/%s/%s/ratio-%s", goals[i].path, setting, goals[i].rival);
        const struct result_row *row = result_find(r, name);
        if (row == NULL)
            continue;
        double median = result_median(row);
        bool met = median >= goals[i].min && (goals[i].max <= 0 || median <= goals[i].max);
        if (goals[i].max <= 0)
            snprintf(note, sizeof note, "goal: at least %g, %s", goals[i].min,
                     met ? "met" : "missed");
        else if (goals[i].min > 0)
            snprintf(note, sizeof note, "goal: %g to %g, %s", goals[i].min, goals[i].max,
                     met ? "met" : "missed");
        else
            snprintf(note, sizeof note, "goal: at most %g, %s", goals[i].max,
                     met ? "met" : "missed");
        result_note(r, name, note);
    }
}

void net_rows_mark_dns(struct result *r, const char *setting, const char *impl)
{
    static const struct {
        const char *path;
        double max;
    } goals[] = {
        {"dns/resource/lost", 0},   {"dns/resource/failed", 0}, {"dns/resource/p99", 1000},
        {"dns/resource/client", 1}, {"dns/used/lost", 0},       {"dns/used/failed", 0},
        {"dns/used/p99", 1000},     {"dns/used/client", 1},     {"dns/upstream/lost", 0},
        {"dns/upstream/failed", 0},
    };
    char name[ROW_NAME_MAX], note[ROW_NAME_MAX];

    for (size_t i = 0; i < ARRAY_LEN(goals); i++) {
        snprintf(name, sizeof name, "net/%s/%s/%s", goals[i].path, setting, impl);
        const struct result_row *row = result_find(r, name);
        if (row == NULL)
            continue;
        snprintf(note, sizeof note, "goal: at most %g, %s", goals[i].max,
                 result_median(row) <= goals[i].max ? "met" : "missed");
        result_note(r, name, note);
    }
}
