/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the portal's address. What is accepted says the same when it is written out again, and whatever a parameter
 * holds, the request target is one line of unreserved characters. Input: the address; then, behind a line feed, a value.
 */
#include "control/portal/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct url *url)
{
    char text[URL_HOST_MAX + URL_PATH_MAX + 32], why[128];
    struct url again;
    bool v6 = strchr(url->host, ':');
    snprintf(text, sizeof text, "%s://%s%s%s:%u%s", url->tls ? "wss" : "ws", v6 ? "[" : "",
             url->host, v6 ? "]" : "", url->port, url->path);
    ASSERT(url_parse(&again, text, why, sizeof why) == ERR_OK);
    ASSERT(again.tls == url->tls && again.port == url->port);
    ASSERT(strcmp(again.host, url->host) == 0);
    size_t len = strlen(url->path); /* of two '/' at the end the second is removed only now */
    ASSERT(strcmp(again.path, url->path) == 0 || (len > 1 && url->path[len - 1] == '/'));
}

static void check_target(const struct url *url, const char *value)
{
    const struct url_param params[] = {{"name", value}, {NULL, NULL}};
    char target[2048];
    if (url_target(target, sizeof target, url, "client/v2/websocket", params) != ERR_OK)
        return;
    ASSERT(target[0] == '/');
    for (const char *c = target; *c; c++)
        ASSERT(*c > ' ' && *c < 127);
    ASSERT(strstr(target, "/client/v2/websocket?name="));
    ASSERT(strchr(target, '?') == strrchr(target, '?') || strchr(url->path, '?'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), why[128] = "";
    struct url url;

    ASSERT(text);
    memcpy(text, data, size);
    text[size] = 0;
    char *value = strchr(text, '\n');
    if (value)
        *value++ = 0;
    if (url_parse(&url, text, why, sizeof why) == ERR_OK) {
        ASSERT(url.port != 0 && url.host[0] && url.path[0] == '/');
        check_again(&url);
        check_target(&url, value ? value : "");
    } else {
        ASSERT(why[0]);
    }
    free(text);
    return 0;
}
