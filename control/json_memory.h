/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of JSON trees: what the portal sends holds keys and passwords, so it is wiped when it is freed.
 * Control role.
 */
#ifndef FZ_CONTROL_JSON_MEMORY_H
#define FZ_CONTROL_JSON_MEMORY_H

/* Before the first tree is made: for the whole process. */
void json_memory_init(void);

#endif
