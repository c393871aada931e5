/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the attributes MESSAGE-INTEGRITY and FINGERPRINT are computed from; for the parser and the writer (stun.h). Pure; any thread.
 * Source: RFC 8489 sections 14.5, 14.7; RFC 2104; ISO 3309 for the CRC.
 */
#ifndef FZ_CONTROL_P2P_STUN_AUTH_H
#define FZ_CONTROL_P2P_STUN_AUTH_H

#include <stddef.h>
#include <stdint.h>

#include "control/p2p/stun.h"

/* at: offset of the attribute. The length field counts as if the message ended with the attribute. */
void stun_auth_integrity(uint8_t out[STUN_INTEGRITY_LEN], const uint8_t *message, uint16_t at,
                         const void *key, size_t key_len);

/* at: as above; the length field is taken as it stands, which includes the attribute. */
uint32_t stun_auth_fingerprint(const uint8_t *message, uint16_t at);

#endif
