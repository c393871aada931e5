/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a program that may do everything but mark its sockets, as some containers have it: `no_marks PROGRAM [ARGUMENT]...`.
 * A seccomp filter answers setsockopt(fd, SOL_SOCKET, SO_MARK) with EPERM.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/base/bytes.h"

#define LOAD(field)                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)

int main(int argc, char **argv)
{
    struct sock_filter filter[] = {
        LOAD(nr),
        UNLESS(SYS_setsockopt, 5),
        LOAD(args[1]), /* the low half comes first */
        UNLESS(SOL_SOCKET, 3),
        LOAD(args[2]),
        UNLESS(SO_MARK, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};

    if (argc < 2) {
        fprintf(stderr, "usage: no_marks PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        fprintf(stderr, "no_marks: %s\n", strerror(errno));
        return 1;
    }
    execvp(argv[1], argv + 1);
    fprintf(stderr, "no_marks: %s: %s\n", argv[1], strerror(errno));
    return 1;
}
