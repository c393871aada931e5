/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many CPUs' worth of time the control groups grant this process (v2 `cpu.max`, v1 `cpu.cfs_quota_us`). Any thread.
 */
#ifndef FZ_LINUX_CPU_QUOTA_H
#define FZ_LINUX_CPU_QUOTA_H

/*
 * The smallest quota on the way from the process's group to the root, rounded up to whole CPUs; 0 if there is none.
 * cgroup: /proc/self/cgroup; mountinfo: /proc/self/mountinfo (other files in tests).
 */
unsigned cpu_quota(const char *cgroup, const char *mountinfo);

#endif
