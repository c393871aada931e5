/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identifier under which the portal knows this device: the one in the program's folder, else one derived from the
 * machine's, else a new one. Control thread. Source: spec/platform.md 6.3.
 */
#ifndef FZ_CONTROL_DEVICE_ID_H
#define FZ_CONTROL_DEVICE_ID_H

#include <stddef.h>

#include "control/portal/identity.h"

enum {
    DEVICE_ID_UUID_LEN = 36
};

/* Of a program: where its id is stored, and what hides the machine's (IDENTITY_KEY_*). */
struct device_id_place {
    const char *folder, *file;
    const char *key;
};

/*
 * out: as it is stored, IDENTITY_EXTERNAL_ID_MAX + 1 bytes; identity_external_id makes of it what is sent. On failure `why`
 * says what was tried.
 */
enum err device_id_find(char *out, const struct device_id_place *place, char *why,
                        unsigned why_size) MUST_USE;

/* {"id":"..."}. ERR_PARSE: not of this form, or no id that the portal would take; `out` as above. */
enum err device_id_parse(char *out, const char *bytes, size_t len) MUST_USE;

/* A new random UUID, version 4; `out` has DEVICE_ID_UUID_LEN + 1 bytes. */
void device_id_random_uuid(char *out);

#endif
