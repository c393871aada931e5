/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, the limit of connects per token, and what is drawn from the portal's seed. Source: spec/portal.md 1.5 and 3. */
#ifndef FZ_TOOLS_FZPORTAL_TOKENS_H
#define FZ_TOOLS_FZPORTAL_TOKENS_H

#include "tools/fzportal/model.h"

/* After the sites. */
void portal_tokens_init(struct portal *p);
void portal_tokens_fini(struct portal *p);

/* A token of this role that is valid now; NULL: none. The time does not tell how much of a wrong one was right. */
struct token *portal_token_find(struct portal *p, enum portal_role role, const char *text);
struct token *portal_token_by_name(const struct portal *p, const char *name);
bool portal_token_is_valid(const struct portal *p, const struct token *t);
bool portal_token_has_group(const struct token *t, const char *group);
/* Ends all sessions of tokens that have expired; relays are not told why. */
void portal_tokens_expire(struct portal *p);
/* Finds out when the next one expires; after any change. */
void portal_tokens_watch(struct portal *p);

/* May there be another connect with this token from there? */
bool portal_connect_permitted(struct portal *p, const struct ip_addr *from, const char *token);
/* Forgets addresses that have all their permits again. */
void portal_connects_prune(struct portal *p);

/* Bytes that have not been drawn before; at most 32. */
void portal_draw(struct portal *p, void *out, size_t len);
struct portal_id portal_draw_id(struct portal *p);
struct portal_id portal_id_of(struct uuid uuid);
/* `stated` unless it is zero, else one that goes with the name. */
struct portal_id portal_named_id(const struct portal *p, const struct uuid *stated,
                                 const char *what, const char *name);

#endif
