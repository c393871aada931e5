/* SPDX-License-Identifier: Apache-2.0 */
/* prctl, setrlimit, capget. */
#include "platform/process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/base/log.h"

/* A sanitizer's leak check attaches to the process, which must be dumpable for that. */
#if defined(__SANITIZE_ADDRESS__)
#define PROCESS_DUMPABLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PROCESS_DUMPABLE 1
#endif
#endif

/* Else the first descriptors that are opened become the targets of messages. */
static void standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(1);
    }
}

void process_harden(void)
{
    struct rlimit none = {0, 0};

    standard_descriptors();
    (void)signal(SIGPIPE, SIG_IGN);
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        log_warn("process", "cannot switch core dumps off");
#ifndef PROCESS_DUMPABLE
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        log_warn("process", "cannot make the process undumpable");
#endif
}

bool process_is_administrator(void)
{
    return geteuid() == 0;
}

bool process_may_configure_network(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, data) != 0)
        return true; /* unknown: the first operation that needs it will tell */
    return (data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN)) != 0;
}
