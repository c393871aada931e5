/* SPDX-License-Identifier: Apache-2.0 */
/* Service manager contract: readiness, state and stopping (sd_notify protocol on Linux). Control thread. */
#ifndef FZ_PLATFORM_SERVICE_H
#define FZ_PLATFORM_SERVICE_H

/* No-ops when no manager asked for it. status: one line for humans, may be NULL. */
void service_ready(const char *status);
void service_status(const char *status);
void service_stopping(void);

#endif
