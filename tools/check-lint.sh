#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Static analysis: clang-tidy and cppcheck on all sources, gcc -fanalyzer on the pure ones.
#
#   TIDY=clang-tidy tools/check-lint.sh 'PREPROCESSOR FLAGS' 'PURE SOURCES' SOURCE...
set -uo pipefail

flags=$1 pure=$2
shift 2
# What these leave out is either a matter of taste or wrong too often in C that counts bytes.
readonly CHECKS='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,-clang-analyzer-valist.Uninitialized,bugprone-*,-bugprone-sizeof-expression,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-narrowing-conversions,-bugprone-implicit-widening-of-multiplication-result,-bugprone-branch-clone,-bugprone-macro-parentheses,-bugprone-assignment-in-if-condition,-bugprone-suspicious-include,cert-flp30-c,cert-pos44-c,misc-redundant-expression'

[[ $# -gt 0 ]] || exit 0
bad=0
echo "clang-tidy: $# files"
# shellcheck disable=SC2086 # the flags are words
printf '%s\0' "$@" | xargs -0 -n 8 -P "$(nproc)" sh -c '
    tidy=$1 checks=$2 flags=$3
    shift 3
    exec "$tidy" --quiet --warnings-as-errors="*" --checks="$checks" "$@" -- $flags' sh "${TIDY:-clang-tidy}" "$CHECKS" "$flags" \
    2> >(grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter' >&2) || bad=1

echo "cppcheck: $# files"
cppcheck --quiet --std=c11 --language=c --enable=warning,portability --inline-suppr --error-exitcode=1 -j "$(nproc)" \
    --suppress=missingInclude --suppress=missingIncludeSystem --suppress=preprocessorErrorDirective \
    --suppress=unknownMacro --suppress=normalCheckLevelMaxBranches -I. -D_GNU_SOURCE "$@" || bad=1

# The analyzer follows every path; on long straight-line arithmetic it does not come back.
echo "gcc -fanalyzer: $(wc -w <<<"$pure") files"
for file in $pure; do
    # shellcheck disable=SC2086
    timeout 30 gcc $flags -O1 -fanalyzer -Werror -c "$file" -o /dev/null
    case $? in
    0) ;;
    124) echo "gcc -fanalyzer: gave up on $file after 30 s" ;;
    *) bad=1 ;;
    esac
done
exit $bad
