#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Proves from their undefined symbols that objects are pure: they call nothing but each other and what is listed here,
# hence no clock, socket, thread, file, allocator or random source.
#
#   tools/check-pure.sh OBJECT...
set -euo pipefail

# Memory and text; reporting (assertions, the log); arithmetic the compiler may call.
readonly LIBC='mem(cpy|move|set|cmp|chr|mem|rchr|pcpy)|str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|rchr|str|spn|cspn|pbrk|to[u]?l+|cpy|ncpy)|v?s(n)?printf|bsearch|qsort|is[a-z]+|to(lower|upper)|__ctype_(b|tolower|toupper)_loc|__errno_location|inet_[np]to[np]|__isoc(99|23)_(sscanf|strto[u]?l+)'
readonly COMPILER='__(mem|str|v?sn?printf)[a-z]*_chk|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__popcountdi2|__cpu_(model|indicator_init)'
readonly OURS='assert_failed|err_text|log_(write|enabled|level_parse)'
# BoringSSL: functions of their arguments only. (X25519_keypair and RAND_bytes are not.)
readonly CRYPTO='X25519(_public_from_private)?|EVP_aead_x?chacha20_poly1305|EVP_AEAD_CTX_(init|seal|open|seal_scatter|open_gather|cleanup|zero)|CRYPTO_(memcmp|chacha_20|poly1305_(init|update|finish))|OPENSSL_cleanse|ERR_clear_error|HMAC|HMAC_(CTX_init|CTX_cleanse|Init_ex|Update|Final)|MD5_(Init|Update|Final)|SHA256|EVP_sha(1|256)'
# jansson on values and buffers: what it allocates is reached through these only. (Files and descriptors are not.)
readonly JSON='json_(loadb|dumpb|delete|object(_get|_set_new)?|array(_get|_size|_append_new)?|string(_value|_length)?|integer_value|true|false)'

if [[ $# -eq 0 ]]; then
    echo "no pure objects"
    exit 0
fi
defined=$(nm --defined-only --extern-only -- "$@" | awk 'NF == 3 { print $3 }' | sort -u)
bad=0
for object in "$@"; do
    while read -r symbol; do
        [[ $symbol =~ ^($LIBC|$COMPILER|$OURS|$CRYPTO|$JSON)$ ]] && continue
        echo "check-pure: ${object#*/obj/} uses $symbol" >&2
        bad=1
    done < <(nm --undefined-only -- "$object" | awk 'NF == 2 { print $2 }' | sort -u | comm -23 - <(echo "$defined"))
done
[[ $bad -ne 0 ]] || echo "$# objects are pure"
exit $bad
