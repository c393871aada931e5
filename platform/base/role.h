/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thread roles as capabilities. Clang's thread-safety analysis then rejects, at compile time, a control function
 * that calls a worker function or touches its fields. Under gcc the macros expand to nothing.
 */
#ifndef FZ_BASE_ROLE_H
#define FZ_BASE_ROLE_H

#ifdef __clang__
#define ROLE_ATTR(x) __attribute__((x))
#else
#define ROLE_ATTR(x)
#endif

#define CAPABILITY(name)   ROLE_ATTR(capability(name))
#define REQUIRES_ROLE(...) ROLE_ATTR(requires_capability(__VA_ARGS__))
#define GUARDED_BY_ROLE(x) ROLE_ATTR(guarded_by(x))
#define ACQUIRE_ROLE(...)  ROLE_ATTR(acquire_capability(__VA_ARGS__))
#define RELEASE_ROLE(...)  ROLE_ATTR(release_capability(__VA_ARGS__))

struct CAPABILITY("role") role {
    char unused;
};

extern struct role role_control;
extern struct role role_worker;

/* Called once by a thread's entry function; no code is generated. */
static inline void role_enter(struct role *r) ACQUIRE_ROLE(*r) ROLE_ATTR(no_thread_safety_analysis);
static inline void role_leave(struct role *r) RELEASE_ROLE(*r) ROLE_ATTR(no_thread_safety_analysis);

static inline void role_enter(struct role *r)
{
    (void)r;
}

static inline void role_leave(struct role *r)
{
    (void)r;
}

#endif
