/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the development portal's configuration. What is refused is refused with a sentence; with what is accepted a
 * portal starts. Input: the file.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/fzportal/portal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[32] = {1};
    char *text = malloc(size + 1), why[256] = "";
    struct portal_config config;

    ASSERT(text);
    memcpy(text, data, size);
    text[size] = 0;
    if (portal_config_parse(&config, text, "f", why, sizeof why) == ERR_OK) {
        const struct portal_time t = {NS_PER_SEC, 1785500000};
        struct portal_token_info info;
        struct portal *p;
        ASSERT(portal_new(&p, &config, seed, t) == ERR_OK);
        for (size_t i = 0; portal_token_at(p, i, &info); i++)
            ASSERT(info.text[0] && info.name[0]);
        json_t *command = json_pack("{s:s}", "command", "state");
        json_t *state = portal_control(p, t, command);
        ASSERT(json_is_true(json_object_get(state, "ok")));
        json_decref(state);
        json_decref(command);
        portal_free(p);
        portal_config_fini(&config);
    } else {
        ASSERT(strncmp(why, "f:", 2) == 0 && strlen(why) > 4);
    }
    free(text);
    return 0;
}
