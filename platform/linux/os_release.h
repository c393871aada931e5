/* SPDX-License-Identifier: Apache-2.0 */
/* The file that names a distribution. Pure; any thread. Source: os-release(5). */
#ifndef FZ_LINUX_OS_RELEASE_H
#define FZ_LINUX_OS_RELEASE_H

enum {
    OS_RELEASE_NAME_MAX = 63,
    OS_RELEASE_VERSION_MAX = 35
};

/* "": the file does not say it. */
struct os_release {
    char name[OS_RELEASE_NAME_MAX + 1];       /* NAME, without "Linux" behind it; else ID */
    char version[OS_RELEASE_VERSION_MAX + 1]; /* VERSION_ID as three numbers: "22.04" is 22.4.0 */
};

void os_release_parse(struct os_release *out, const char *text);

#endif
