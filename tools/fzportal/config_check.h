/* SPDX-License-Identifier: Apache-2.0 */
/* Does a configuration make sense as a whole? Part of config.h, for config.c. */
#ifndef FZ_TOOLS_FZPORTAL_CONFIG_CHECK_H
#define FZ_TOOLS_FZPORTAL_CONFIG_CHECK_H

#include "tools/fzportal/config.h"

/* False: `why` says what is wrong with the section at `line` (0: with the file). */
bool portal_config_check(const struct portal_config *c, unsigned *line, char *why, size_t why_size);

#endif
