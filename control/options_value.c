/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options that several have in common, and the sentences that refuse one. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/options_private.h"

enum {
    REPEATED_MAX = 24 /* tokens are longer */
};

enum err options_fail(const struct why *why, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why->buf, why->size, fmt, ap);
    va_end(ap);
    return ERR_PARSE;
}

enum err options_fail_value(const struct why *why, const char *by, const char *value,
                            const char *what)
{
    if (strlen(value) > REPEATED_MAX)
        return options_fail(why, "%s: the value is %s", by, what);
    return options_fail(why, "%s: '%s' is %s", by, value, what);
}

enum err options_fail_word(const struct why *why, const char *what, const char *word)
{
    if (strlen(word) > REPEATED_MAX)
        return options_fail(why, "%s of %u characters", what, (unsigned)strlen(word));
    return options_fail(why, "%s '%s'", what, word);
}

enum err options_choose(unsigned *out, const char *const *names, const char *by, const char *value,
                        const struct why *why)
{
    char what[128] = "none of ";
    size_t n = strlen(what);

    for (unsigned i = 0; names[i]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *out = i;
            return ERR_OK;
        }
        n += (size_t)snprintf(what + n, sizeof what - n, "%s%s", i > 0 ? ", " : "", names[i]);
        ASSERT(n < sizeof what);
    }
    return options_fail_value(why, by, value, what);
}

static bool same_word(const char *text, const char *word)
{
    size_t i = 0;

    while (text[i] && word[i] && (text[i] | 0x20) == (word[i] | 0x20))
        i++;
    return text[i] == word[i];
}

enum err options_truth(bool *out, const char *by, const char *value, const struct why *why)
{
    *out = same_word(value, "true") || same_word(value, "yes") || strcmp(value, "1") == 0;
    if (*out || same_word(value, "false") || same_word(value, "no") || strcmp(value, "0") == 0)
        return ERR_OK;
    return options_fail_value(why, by, value, "neither true nor false");
}

enum err options_set_dns(struct options *o, const char *by, const char *value,
                         const struct why *why)
{
    static const char *const names[] = {[DNS_METHOD_DISABLED] = "disabled",
                                        [DNS_METHOD_ETC_RESOLV_CONF] = "etc-resolv-conf",
                                        [DNS_METHOD_SYSTEMD_RESOLVED] = "systemd-resolved",
                                        NULL};
    unsigned i;
    enum err err = options_choose(&i, names, by, value, why);

    if (err == ERR_OK)
        o->dns = (enum dns_method)i;
    o->dns_asked = by;
    return err;
}
