/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See forwarding.h. Settings of the kernel that make a host a router change others with them: switching forwarding on or off for "all"
 * sets that of each interface, and IPv4's accept_redirects. An interface that forwards IPv6 also takes no more router advertisements,
 * from which many hosts have their default route, unless its accept_ra is 2; routes it has are dropped at once. So whatever will change is
 * noted before, in the order in which the way back is the notes read backwards.
 */
#include "platform/forwarding.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/linux/forwarding_rules.h"
#include "platform/linux/journal.h"
#include "platform/linux/sysctl.h"

#define MODULE "forwarding"

enum {
    ACCEPT_RA_HOST = 1, /* not while it forwards */
    ACCEPT_RA_ALWAYS = 2,
    NOTES_KEPT_BACK = 4, /* of the journal, for the settings of "all" */
    WHY_MAX = 384
};

struct forwarding {
    char tun[IF_NAMESIZE];
    struct forwarding_rules *rules;
    struct journal journal;
    struct sysctl *former; /* values before, in the order of changes */
    size_t former_n;
    bool v6;
    bool accepts; /* rules in chains of others may be ours */
};

/* ---- settings ---- */

static void note(struct forwarding *f, const struct sysctl *former)
{
    bool last = strcmp(former->scope, "all") == 0;

    if (last || f->journal.n + NOTES_KEPT_BACK < JOURNAL_ENTRIES_MAX)
        journal_note(&f->journal,
                     &(struct journal_entry){.kind = JOURNAL_SYSCTL, .sysctl = *former});
    f->former = mem_grow(f->former, f->former_n, sizeof *f->former);
    f->former[f->former_n++] = *former;
}

/* An interface that is gone has nothing to restore. */
static void restore(const struct sysctl *s, bool quiet)
{
    int e = sysctl_write(s);

    if (e != 0 && e != ENOENT && !quiet)
        log_warn(MODULE, "cannot set net.%s.conf.%s.%s to %u, as it was before: %s",
                 sysctl_family(s->key), s->scope, sysctl_name(s->key), s->value, strerror(e));
}

/* quiet: a change that failed is no more to be undone than to be done. */
static void restore_from(struct forwarding *f, size_t first, bool quiet)
{
    while (f->former_n > first)
        restore(&f->former[--f->former_n], quiet);
}

/* Those that forward although the host does not. */
static void note_forwarding(void *arg, const struct sysctl *s)
{
    if (s->value != 0)
        note(arg, s);
}

static void keep_advertisements(void *arg, const struct sysctl *s)
{
    struct sysctl forwards = *s, always = *s;
    const struct forwarding *f = arg;

    forwards.key = SYSCTL_V6_FORWARDING;
    if (strcmp(s->scope, "lo") == 0 || strcmp(s->scope, f->tun) == 0)
        return; /* have no router */
    if (s->value != ACCEPT_RA_HOST || sysctl_read(&forwards) != 0 || forwards.value != 0)
        return;
    note(arg, s);
    always.value = ACCEPT_RA_ALWAYS;
    int e = sysctl_write(&always);
    if (e != 0)
        log_warn(MODULE,
                 "%s may lose its IPv6 routes, since net.ipv6.conf.%s.accept_ra cannot be set: %s",
                 s->scope, s->scope, strerror(e));
}

static int note_around(struct forwarding *f, enum sysctl_key key)
{
    struct sysctl redirects = {.key = SYSCTL_V4_ACCEPT_REDIRECTS, .scope = "all"};
    int e = sysctl_each(key, note_forwarding, f);

    if (e != 0)
        return e;
    if (key == SYSCTL_V6_FORWARDING)
        return sysctl_each(SYSCTL_V6_ACCEPT_RA, keep_advertisements, f);
    if (sysctl_read(&redirects) == 0)
        note(f, &redirects);
    return 0;
}

/* Makes the host forward. Returns 0 or a positive errno, and has changed nothing then. */
static int switch_on(struct forwarding *f, enum sysctl_key key)
{
    struct sysctl all = {.key = key, .scope = "all"};
    size_t first = f->former_n;
    int e = sysctl_read(&all);

    if (e != 0 || all.value != 0)
        return e;
    e = note_around(f, key);
    if (e == 0) {
        note(f, &all);
        all.value = 1;
        e = sysctl_write(&all);
    }
    if (e != 0)
        restore_from(f, first, true);
    else
        log_info(MODULE, "switched on net.%s.conf.all.forwarding until the end",
                 sysctl_family(key));
    return e;
}

/* Of IPv4 each interface has a say; that of the TUN goes with it. */
static void switch_tun_on(const struct forwarding *f)
{
    struct sysctl tun = {.key = SYSCTL_V4_FORWARDING};

    memcpy(tun.scope, f->tun, sizeof tun.scope);
    if (sysctl_read(&tun) != 0 || tun.value != 0)
        return;
    tun.value = 1;
    int e = sysctl_write(&tun);
    if (e != 0)
        log_warn(MODULE, "cannot set net.ipv4.conf.%s.forwarding: %s", f->tun, strerror(e));
}

static enum err fail_v4(int e, char *why, unsigned why_size)
{
    snprintf(
        why, why_size,
        "net.ipv4.ip_forward is off and cannot be switched on (%s): switch it on for the host or container, or run "
        "with access to /proc/sys",
        strerror(e));
    return ERR_PERMISSION;
}

/* ---- both families ---- */

static enum err set_v4(struct forwarding *f, const struct ip_prefix *range, char *why,
                       unsigned why_size)
{
    enum err err = forwarding_rules_own(f->rules, range, why, why_size);
    int e = err == ERR_OK ? switch_on(f, SYSCTL_V4_FORWARDING) : 0;

    if (e != 0)
        return fail_v4(e, why, why_size);
    if (err == ERR_OK)
        switch_tun_on(f);
    return err;
}

/* A failure is none of the whole: many hosts have no IPv6. */
static void set_v6(struct forwarding *f, const struct ip_prefix *range)
{
    struct sysctl all = {.key = SYSCTL_V6_FORWARDING, .scope = "all"};
    char why[WHY_MAX];
    int e = sysctl_read(&all);

    if (e == ENOENT) {
        log_info(MODULE, "this host has no IPv6");
        return;
    }
    if (forwarding_rules_own(f->rules, range, why, sizeof why) != ERR_OK) {
        log_warn(MODULE, "clients reach nothing over IPv6: %s", why);
        return;
    }
    e = switch_on(f, SYSCTL_V6_FORWARDING);
    if (e != 0)
        log_warn(MODULE,
                 "clients reach nothing over IPv6: net.ipv6.conf.all.forwarding cannot be "
                 "switched on: %s",
                 strerror(e));
    f->v6 = e == 0;
}

/* Others' chains may be more than we understand; then the host's administrator has to let packets pass. */
static void accept_packets(struct forwarding *f)
{
    char why[WHY_MAX];

    f->accepts = true;
    if (forwarding_rules_accept(f->rules, why, sizeof why) != ERR_OK)
        log_warn(MODULE, "a firewall of the host may drop what clients send: %s", why);
}

enum err forwarding_new(struct forwarding **out, const char *tun, const struct ip_prefix *v4,
                        const struct ip_prefix *v6, char *why, unsigned why_size)
{
    struct forwarding_rules *rules;
    enum err err = forwarding_rules_new(&rules, tun, why, why_size);

    *out = NULL;
    if (err != ERR_OK)
        return err;
    struct forwarding *f = mem_zalloc(1, sizeof *f);
    memcpy(f->tun, tun, strlen(tun)); /* its length has been looked at */
    f->rules = rules;
    journal_init(&f->journal);
    err = set_v4(f, v4, why, why_size);
    if (err != ERR_OK) {
        forwarding_free(f);
        return err;
    }
    set_v6(f, v6);
    accept_packets(f);
    *out = f;
    return ERR_OK;
}

static void renew(enum sysctl_key key)
{
    struct sysctl all = {.key = key, .scope = "all"};
    int e = sysctl_read(&all);

    if (e != 0 || all.value != 0)
        return;
    all.value = 1;
    e = sysctl_write(&all);
    log_warn(MODULE, "somebody has switched off net.%s.conf.all.forwarding, %s", sysctl_family(key),
             e == 0 ? "which is on again" : "which cannot be switched on");
}

void forwarding_renew(struct forwarding *f)
{
    renew(SYSCTL_V4_FORWARDING);
    switch_tun_on(f);
    if (f->v6)
        renew(SYSCTL_V6_FORWARDING);
    accept_packets(f);
}

void forwarding_free(struct forwarding *f)
{
    char why[WHY_MAX];

    if (!f)
        return;
    if (f->accepts && forwarding_rules_retract(f->rules, why, sizeof why) != ERR_OK)
        log_warn(MODULE, "rules in the host's firewall stay behind: %s", why);
    restore_from(f, 0, false);
    journal_close(&f->journal, true);
    forwarding_rules_free(f->rules);
    free(f->former);
    free(f);
}
