/* SPDX-License-Identifier: Apache-2.0 */
/* The product's three tables and their rules. Source: spec/platform.md 0 and 2.2. */
#ifndef FZ_LINUX_ROUTES_PRODUCT_H
#define FZ_LINUX_ROUTES_PRODUCT_H

#include "platform/linux/guard.h"
#include "platform/linux/rule.h"

enum product_table {
    PRODUCT_USER,
    PRODUCT_LINK_SCOPE,
    PRODUCT_INTERNET,
    PRODUCT_TABLES
};

/* The number that the kernel knows the table by. */
uint32_t product_table_number(enum product_table table);
/* "not fwmark MARK lookup TABLE" */
struct rule product_rule(enum product_table table, unsigned family, uint32_t mark);
/* Around that rule. */
struct guard product_guard(enum product_table table, unsigned family);

#endif
