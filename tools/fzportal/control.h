/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control interface: what an administrator does in the real portal's web pages, and faults that only a portal can have.
 * Commands are in one table, in control.c. For the files control*.c only.
 */
#ifndef FZ_TOOLS_FZPORTAL_CONTROL_H
#define FZ_TOOLS_FZPORTAL_CONTROL_H

#include "tools/fzportal/model.h"

/* A command that is carried out. */
struct order {
    struct portal *p;
    const json_t *command;
};

/* Answers, new references. */
json_t *portal_order_done(void);
json_t *portal_order_count(const char *what, size_t n);
__attribute__((format(printf, 1, 2))) json_t *portal_order_failed(const char *fmt, ...);

/* The text of a key; NULL: absent, or no text. */
const char *portal_order_text(const struct order *o, const char *key);
/* False: it is there, but no whole number from `min` to `max`. Absent: `out` stays. */
bool portal_order_number(const struct order *o, const char *key, int64_t min, int64_t max,
                         int64_t *out);
/* Absent: true. False as well: it is there, but neither true nor false; *good says so. */
bool portal_order_flag(const struct order *o, const char *key, bool *good);
/* A client or gateway by id, external id or name; NULL: none, or several. */
struct device *portal_order_device(const struct order *o, const char *text);
bool portal_order_role(const char *text, enum portal_role *out);
const char *portal_role_text(enum portal_role role);

/* control_sessions.c */
json_t *portal_order_kick(const struct order *o);
json_t *portal_order_silence(const struct order *o);
json_t *portal_order_stall(const struct order *o);
json_t *portal_order_init(const struct order *o);
json_t *portal_order_send(const struct order *o);
json_t *portal_order_refuse(const struct order *o);
/* control_account.c */
json_t *portal_order_resource_add(const struct order *o);
json_t *portal_order_resource_change(const struct order *o);
json_t *portal_order_resource_remove(const struct order *o);
json_t *portal_order_dns(const struct order *o);
json_t *portal_order_address(const struct order *o);
json_t *portal_order_expire(const struct order *o);
json_t *portal_order_revoke(const struct order *o);
json_t *portal_order_lifetime(const struct order *o);
json_t *portal_order_policy(const struct order *o);
/* control_state.c */
json_t *portal_order_state(const struct order *o);

#endif
