/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of set-up and I/O, and assertions.
 *
 * Per-packet outcomes are not errors: they are verdicts (engine/counters.h). OS error codes are converted to
 * `enum err` and logged at the platform border.
 */
#ifndef FZ_BASE_ERR_H
#define FZ_BASE_ERR_H

#define ERR_LIST(X)                                                                                \
    X(OK, "success")                                                                               \
    X(INVALID, "invalid argument")                                                                 \
    X(PARSE, "malformed input")                                                                    \
    X(NOT_FOUND, "not found")                                                                      \
    X(EXISTS, "already exists")                                                                    \
    X(IN_USE, "already in use")                                                                    \
    X(PERMISSION, "permission denied")                                                             \
    X(UNSUPPORTED, "not supported by this system")                                                 \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(NO_SPACE, "no space left")                                                                   \
    X(FULL, "queue or table is full")                                                              \
    X(AGAIN, "would block")                                                                        \
    X(TIMEOUT, "timed out")                                                                        \
    X(UNREACHABLE, "network unreachable")                                                          \
    X(CLOSED, "closed")                                                                            \
    X(CRYPTO, "cryptographic check failed")                                                        \
    X(IO, "input/output error")

enum err {
#define X(name, text) ERR_##name,
    ERR_LIST(X)
#undef X
};

#define MUST_USE __attribute__((warn_unused_result))

/* One short lower-case phrase for `e`; static storage. */
const char *err_text(enum err e);

/* Converts a positive errno value. Unknown values become ERR_IO. */
enum err err_from_errno(int errno_value) MUST_USE;

/* Prints the failed condition and aborts. */
void assert_failed(const char *cond, const char *file, int line) __attribute__((noreturn, cold));

/* Programmer errors; kept in release builds. */
#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            assert_failed(#cond, __FILE__, __LINE__);                                              \
    } while (0)

/* Expensive or hot-path checks; debug and sanitizer builds only. */
#ifdef FZ_DEBUG
#define DASSERT(cond) ASSERT(cond)
#else
#define DASSERT(cond) ((void)0)
#endif

#endif
