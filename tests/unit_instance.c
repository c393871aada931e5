/* SPDX-License-Identifier: Apache-2.0 */
/* One instance per network namespace, and what the second one is told. */
#include "platform/instance.h"

#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/netns.h"

static void one_at_a_time(void **state)
{
    (void)state;
    struct instance *first, *second;
    char why[256] = "", process[64];

    assert_int_equal(instance_take(&first, why, sizeof why), ERR_OK);
    snprintf(process, sizeof process, "(process %d)", (int)getpid());
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(instance_take(&second, why, sizeof why), ERR_IN_USE);
        assert_null(second);
        assert_non_null(strstr(why, process));
    }
    instance_release(first);
    assert_int_equal(instance_take(&first, why, sizeof why), ERR_OK);
    instance_release(first);
    instance_release(NULL);
}

/* Another process has it, is named, and is killed. */
static void ends_with_the_process(void **state)
{
    (void)state;
    struct instance *i;
    char why[256] = "", process[64], byte;
    int ready[2], status;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (instance_take(&i, why, sizeof why) == ERR_OK && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(instance_take(&i, why, sizeof why), ERR_IN_USE);
    snprintf(process, sizeof process, "(process %d)", (int)pid);
    assert_non_null(strstr(why, process));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(instance_take(&i, why, sizeof why), ERR_OK);
    instance_release(i);
    close(ready[0]);
    close(ready[1]);
}

/* Another user, with the right to configure the network or without. */
static bool become_nobody(bool with_network)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setresuid(65534, 65534, 65534) != 0)
        return false;
    if (with_network)
        data[0].effective = data[0].permitted = 1u << CAP_NET_ADMIN;
    return syscall(SYS_capset, &header, data) == 0;
}

/* Whoever cannot be a client does not keep others from starting. */
static void name_of_somebody_else(void **state)
{
    (void)state;
    for (unsigned with_network = 0; with_network < 2; with_network++) {
        struct instance *i;
        char why[256] = "", byte;
        int ready[2], status;

        assert_int_equal(pipe(ready), 0);
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            if (become_nobody(with_network) && instance_take(&i, why, sizeof why) == ERR_OK &&
                write(ready[1], "x", 1) == 1)
                pause();
            _exit(1);
        }
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        enum err err = instance_take(&i, why, sizeof why);
        assert_int_equal(err, with_network ? ERR_IN_USE : ERR_OK);
        instance_release(err == ERR_OK ? i : NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        close(ready[0]);
    }
}

static void another_namespace(void **state)
{
    (void)state;
    struct instance *i, *other;
    char why[256] = "";
    int status;

    assert_int_equal(instance_take(&i, why, sizeof why), ERR_OK);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWNET) != 0 || instance_take(&other, why, sizeof why) != ERR_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    instance_release(i);
}

int main(void)
{
    netns_enter_or_skip();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(ends_with_the_process),
        cmocka_unit_test(name_of_somebody_else),
        cmocka_unit_test(another_namespace),
    };
    return cmocka_run_group_tests_name("instance", tests, NULL, NULL);
}
