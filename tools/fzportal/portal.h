/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The development portal without its sockets: checks upgrades, keeps the sessions of clients, gateways and relays, answers
 * their messages, hands out addresses, credentials and authorisations, and obeys the control interface. Whoever owns the
 * sockets reports what happens to them and sends what portal_poll_transmit gives.
 *
 *   upgrade request:  portal_upgrade; NULL: answer with `answer`, else 101
 *   text frame:       portal_handle_input
 *   other data:       portal_heard
 *   socket gone:      portal_closed
 *   time:             portal_handle_timeout when portal_poll_timeout says so
 *   after each of them, and after portal_control: portal_poll_ready until NULL, and for each session portal_poll_transmit until
 *   false; then, if portal_session_over, close its socket, which portal_closed confirms
 *
 * Sans-IO but for the allocator; one thread. Source: spec/portal.md.
 */
#ifndef FZ_TOOLS_FZPORTAL_PORTAL_H
#define FZ_TOOLS_FZPORTAL_PORTAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/base/time.h"
#include "tools/ctl/ctl.h"
#include "tools/fzportal/config.h"

enum {
    PORTAL_CODE_MAX = 63,
    PORTAL_DETAIL_MAX = 255
};

struct portal;
struct portal_session;

struct portal_time {
    time_ns now;          /* monotonic */
    int64_t unix_seconds; /* wall clock */
};

/* An HTTP upgrade request. All text is borrowed for the call. */
struct portal_request {
    const char *path;       /* "/client/v2/websocket" */
    const char *query;      /* behind the '?', still encoded; "" if there is none */
    const char *token;      /* X-Authorization without "Bearer "; NULL: no such header */
    const char *user_agent; /* NULL: no such header */
    const char *origin;     /* the same */
    const char *host;       /* the Host header; NULL: there is none */
    bool secure;            /* by TLS */
    struct ip_addr from;
};

/* Of a refused upgrade: the body is the problem document of these. */
struct portal_answer {
    unsigned status;                /* 401 */
    int64_t retry_after_s;          /* -1: no Retry-After */
    char code[PORTAL_CODE_MAX + 1]; /* empty: no problem document but an empty body */
    char detail[PORTAL_DETAIL_MAX + 1];
};

/* A token, stated or generated, for who prints them when the portal starts. */
struct portal_token_info {
    enum portal_role role;
    const char *name, *text;
    bool generated;
};

/*
 * config: borrowed until portal_free. seed: 32 random bytes, of which all ids and secrets are made: with the same seed what has a
 * name, and so outlives a run, has the same ones, and at the same time all else, so that tests can repeat a run.
 */
enum err portal_new(struct portal **out, const struct portal_config *config, const uint8_t seed[32],
                    struct portal_time t) MUST_USE;
void portal_free(struct portal *p);

/* Tokens by number. False: there is none. */
bool portal_token_at(const struct portal *p, size_t i, struct portal_token_info *out);

/* NULL: refused. user: what portal_session_user gives back. */
struct portal_session *portal_upgrade(struct portal *p, struct portal_time t,
                                      const struct portal_request *r, void *user,
                                      struct portal_answer *answer);
void *portal_session_user(const struct portal_session *s);
/* Something has come that is no whole text message: fragments, binary messages, pongs. It is not idle. */
void portal_heard(struct portal *p, struct portal_time t, struct portal_session *s);
/* A WebSocket message; text: valid UTF-8 or not. binary ones are not reported. */
void portal_handle_input(struct portal *p, struct portal_time t, struct portal_session *s,
                         const char *text, size_t len);
/* The socket is gone, whoever closed it; the session is freed. */
void portal_closed(struct portal *p, struct portal_time t, struct portal_session *s);

time_ns portal_poll_timeout(const struct portal *p);
void portal_handle_timeout(struct portal *p, struct portal_time t);

/* A session that has something to send or is over; each is given once per change. NULL: none. */
struct portal_session *portal_poll_ready(struct portal *p);
/* The next frame, valid until the next call for this session. False: none. */
bool portal_poll_transmit(struct portal_session *s, const char **text, size_t *len);
/*
 * True: close the socket with this code once everything is sent, or after a few seconds if nobody reads it; 0: at once, without
 * a close frame.
 */
bool portal_session_over(const struct portal_session *s, unsigned *close_code);

/*
 * A command of the control interface: {"command":"kick", ...}. Returns {"ok":true, ...} or {"ok":false,"error":"..."}, a new reference;
 * never NULL. What concerns sockets and not the portal (stop and restart of listening) is told by `portal_listening`.
 */
json_t *portal_control(struct portal *p, struct portal_time t, const json_t *command);
/* Do the keys of a command that say which sessions are meant ("session", "role", "device", "token", "all") mean this one? */
bool portal_session_meant(const struct portal_session *s, const json_t *command);

/* A line of the control interface's help. */
/* Commands by number; NULL: there is none. */
const struct ctl_help *portal_command_at(size_t i);

/* False: the link is stopped, new connections are not accepted. */
bool portal_listening(const struct portal *p);

#endif
