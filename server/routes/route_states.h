/*
 * The list of a tenant's state objects and the removal of one: the routes of /v1/states
 * that move no bytes. Loop thread; whatever touches the disk is done by uv workers. The
 * subtle point: a list opens each object, so it takes as long as there are objects, and
 * OBJECT_STORE_TENANT_OBJECTS bounds them.
 */
#ifndef SERVER_ROUTES_ROUTE_STATES_H
#define SERVER_ROUTES_ROUTE_STATES_H

#include "server/serve/conn.h"

/* NULL-terminated step tables for conn.step. */
extern conn_step_fn *const route_states_list[];
extern conn_step_fn *const route_states_delete[];

/* The route's {id}: request_request_head.c has checked it. */
void route_states_name(const struct conn *c, char name[OBJECT_STORE_NAME_BYTES]);

#endif
