/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libwebsockets on the control thread's event loop: its descriptors and its timeouts become the loop's, and it never waits
 * by itself. One instance per thread; control role.
 */
#ifndef FZ_CONTROL_LWS_LOOP_H
#define FZ_CONTROL_LWS_LOOP_H

#include <libwebsockets.h>

#include "platform/base/err.h"
#include "platform/loop.h"

struct lws_loop;

/*
 * info: what the context is made with (protocols, certificates, a port to listen on); its event library is filled in here.
 * ERR_IO: libwebsockets refuses it.
 */
enum err lws_loop_new(struct lws_loop **out, struct loop *l,
                      const struct lws_context_creation_info *info) MUST_USE;
/* Closes all connections; their callbacks run. Not from a callback of libwebsockets. */
void lws_loop_free(struct lws_loop *s);

struct lws_context *lws_loop_context(struct lws_loop *s);

/* After anything that was asked of libwebsockets but to write: what it wants to do about it happens from the loop. */
void lws_loop_kick(struct lws_loop *s);

/*
 * In LWS_CALLBACK_WSI_DESTROY: whatever descriptor it had is not watched any more. libwebsockets closes one that it fails to
 * connect without saying so.
 */
void lws_loop_forget(struct lws_loop *s, const struct lws *wsi);

/* In LWS_CALLBACK_CONNECTING: `connected` takes the place of `fd`, which libwebsockets goes on using. ERR_IO: it cannot. */
enum err lws_loop_replace(struct lws_loop *s, int fd, int connected) MUST_USE;

#endif
