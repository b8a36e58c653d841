/*
 * GET /v1/states, the list of a tenant's state objects, and DELETE of one: the routes of
 * states that move no bytes. Loop thread; tasks touch the disk. The subtle point: the list
 * opens each object, so it takes as long as there are objects, and
 * OBJECT_STORE_TENANT_OBJECTS bounds them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_ROUTE_STATES_H
#define SERVER_ROUTES_ROUTE_STATES_H

#include "server/serve/conn.h"

extern const struct route_ops route_states_list, route_states_delete;

/* For every route of states: without a directory there are none (ERR_NOT_FOUND), and {id}
 * must be a name (ERR_ARGUMENT). */
int route_states_check(const struct conn *c, struct err *err);

/* The route's {id}, which route_states_check has checked. */
void route_states_name(const struct conn *c, char name[OBJECT_STORE_NAME_BYTES]);

#endif
