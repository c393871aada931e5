/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key log for Wireshark's WireGuard dissector (wg.keylog_file). Exists only in the test build (-DFZ_KEYLOG), where the
 * environment variable FZ_KEYLOG names the file; everywhere else these are nothing.
 */
#ifndef FZ_CONTROL_KEYLOG_H
#define FZ_CONTROL_KEYLOG_H

#include <stdint.h>

#ifdef FZ_KEYLOG
void keylog_identity(const uint8_t private_key[32]);
void keylog_remote(const uint8_t public_key[32]);
void keylog_psk(const uint8_t psk[32]);
void keylog_ephemeral(const uint8_t private_key[32]);
#else
#define keylog_identity(k)  ((void)(k))
#define keylog_remote(k)    ((void)(k))
#define keylog_psk(k)       ((void)(k))
#define keylog_ephemeral(k) ((void)(k))
#endif

#endif
