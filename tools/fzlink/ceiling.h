/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a link without impairment carries on this machine: two new network namespaces, a link between them, and traffic as fast as it
 * goes from a to b. Sender, receiver and both directions of the link share the machine, as they do in a test, so the
 * figures are of all of that together.
 */
#ifndef FZ_TOOLS_FZLINK_CEILING_H
#define FZ_TOOLS_FZLINK_CEILING_H

#include <stdio.h>

#include "platform/linux/why.h"
#include "tools/fzlink/link.h"

/*
 * Measures for `seconds` each, and prints a line for each: "udp64", small packets one by one; "udp1500", packets of the MTU in
 * segmented sends, as tunnels send them; "tcp", one stream. A figure is what came out of the link. The process must be root and
 * have no other thread; it ends in a new namespace.
 */
enum err ceiling_run(const struct link_config *config, double seconds, FILE *out,
                     struct why why) MUST_USE;

#endif
