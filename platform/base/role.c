/* SPDX-License-Identifier: Apache-2.0 */
/* The two roles; they carry no state. */
#include "platform/base/role.h"

struct role role_control;
struct role role_worker;
