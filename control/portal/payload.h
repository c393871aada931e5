/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the payloads of what is told to the portal. Memory that is missing fails an assertion, so none of the results is NULL.
 * Pure; control role.
 */
#ifndef FZ_CONTROL_PORTAL_PAYLOAD_H
#define FZ_CONTROL_PORTAL_PAYLOAD_H

#include <stddef.h>

#include <jansson.h>

#include "control/portal/uuid.h"

json_t *payload_uuid(const struct uuid *uuid);
json_t *payload_texts(const char *const *texts, size_t n);

/* `value` is given away. */
void payload_set(json_t *object, const char *key, json_t *value);
void payload_append(json_t *list, json_t *value);

#endif
