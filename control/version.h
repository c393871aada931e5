/* SPDX-License-Identifier: Apache-2.0 */
/* The version of all programs; the only place that states it. */
#ifndef FZ_CONTROL_VERSION_H
#define FZ_CONTROL_VERSION_H

#define FZ_VERSION "0.1.0"

#endif
