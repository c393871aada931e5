/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/portal/race.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/tcp.h"

struct attempt {
    struct dial *dial;
    unsigned index;
    int fd; /* -1: none */
};

struct dial {
    struct loop *loop;
    struct race race;
    struct attempt attempts[RACE_MAX];
    struct loop_timer timer;
    const struct egress *egress;
    enum err err; /* of the attempt that failed last */
    char why[DIAL_WHY_MAX];
    dial_done done;
    void *arg;
};

static void end_attempt(struct attempt *a)
{
    if (a->fd < 0)
        return;
    loop_del_fd(a->dial->loop, a->fd);
    tcp_close(a->fd);
    a->fd = -1;
}

void dial_cancel(struct dial *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < RACE_MAX; i++)
        end_attempt(&d->attempts[i]);
    loop_timer_clear(d->loop, &d->timer);
    free(d);
}

static void finish(struct dial *d, struct dial_result *result)
{
    dial_done done = d->done;
    void *arg = d->arg;

    dial_cancel(d);
    done(arg, result);
}

static void give_up(struct dial *d, enum err err, const char *why)
{
    struct dial_result result = {.err = err, .fd = -1};

    snprintf(result.why, sizeof result.why, "%s", why);
    finish(d, &result);
}

static void won(struct dial *d, struct attempt *a)
{
    struct dial_result result = {.err = ERR_OK, .fd = a->fd, .to = d->race.addrs[a->index]};

    loop_del_fd(d->loop, a->fd);
    a->fd = -1;
    finish(d, &result);
}

static void failed(struct attempt *a, enum err err, const char *why)
{
    struct dial *d = a->dial;
    char addr[SOCK_ADDR_TEXT_MAX];

    d->err = err;
    snprintf(d->why, sizeof d->why, "%s: %s",
             sock_addr_format(&d->race.addrs[a->index], addr, sizeof addr), why);
    log_debug("dial", "%s", d->why);
    end_attempt(a);
    race_failed(&d->race, loop_now(d->loop), a->index);
}

static void step(struct dial *d);

static void on_writable(void *arg, unsigned events)
{
    struct attempt *a = arg;
    struct dial *d = a->dial;
    char why[DIAL_WHY_MAX / 2];
    enum err err = tcp_connected(a->fd, why, sizeof why);

    (void)events;
    if (err == ERR_AGAIN)
        return;
    if (err == ERR_OK) {
        won(d, a);
        return;
    }
    failed(a, err, why);
    step(d);
}

static void start(struct dial *d, unsigned index)
{
    struct attempt *a = &d->attempts[index];
    char why[DIAL_WHY_MAX / 2] = "";
    enum err err = tcp_connect(&a->fd, &d->race.addrs[index], d->egress, why, sizeof why);

    if (err == ERR_OK) {
        err = loop_add_fd(d->loop, a->fd, LOOP_WRITE, on_writable, a);
        if (err != ERR_OK) {
            tcp_close(a->fd);
            a->fd = -1;
            snprintf(why, sizeof why, "%s", err_text(err));
        }
    }
    if (err != ERR_OK)
        failed(a, err, why);
}

/* Starts what is due, and ends the dial if nothing is left to hope for: `d` may be gone afterwards. */
static void step(struct dial *d)
{
    time_ns now = loop_now(d->loop);
    unsigned index;

    while (race_poll_start(&d->race, now, &index)) {
        start(d, index);
        if (d->err == ERR_PERMISSION) {
            give_up(d, d->err, d->why);
            return;
        }
    }
    if (!race_lost(&d->race, now)) {
        loop_timer_set(d->loop, &d->timer, race_poll_timeout(&d->race));
        return;
    }
    if (d->race.n == 0)
        give_up(d, ERR_NOT_FOUND, "the host has no address");
    else if (d->why[0] != '\0')
        give_up(d, d->err, d->why);
    else
        give_up(d, ERR_TIMEOUT, "no address answered");
}

static void on_timer(void *arg)
{
    step(arg);
}

enum err dial_start(struct dial **out, struct loop *l, const struct sock_addr *addrs, unsigned n,
                    const struct egress *egress, dial_done done, void *arg)
{
    struct dial *d = calloc(1, sizeof *d);

    *out = d;
    if (!d)
        return ERR_NO_MEMORY;
    d->loop = l;
    d->egress = egress;
    d->done = done;
    d->arg = arg;
    for (unsigned i = 0; i < RACE_MAX; i++)
        d->attempts[i] = (struct attempt){.dial = d, .index = i, .fd = -1};
    race_init(&d->race, addrs, n, loop_now(l));
    loop_timer_init(&d->timer, on_timer, d);
    loop_timer_set(l, &d->timer, loop_now(l)); /* `done` is called from the loop, not from here */
    return ERR_OK;
}
