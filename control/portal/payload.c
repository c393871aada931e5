/* SPDX-License-Identifier: Apache-2.0 */
/* See payload.h. */
#include "control/portal/payload.h"

#include "platform/base/err.h"

json_t *payload_uuid(const struct uuid *uuid)
{
    char text[UUID_TEXT_MAX];
    uuid_format(uuid, text);
    json_t *value = json_string(text);
    ASSERT(value);
    return value;
}

json_t *payload_texts(const char *const *texts, size_t n)
{
    json_t *list = json_array();
    ASSERT(list);
    for (size_t i = 0; i < n; i++)
        payload_append(list, json_string(texts[i]));
    return list;
}

/* An object, a list or a value that is NULL shows here. */
void payload_set(json_t *object, const char *key, json_t *value)
{
    bool done = json_object_set_new(object, key, value) == 0;
    ASSERT(done);
}

void payload_append(json_t *list, json_t *value)
{
    bool done = json_array_append_new(list, value) == 0;
    ASSERT(done);
}
