/*
 * The routes that need no engine step: health, models, metrics, the page. Loop thread;
 * each is answered at once from what the loop knows.
 */
#ifndef SERVER_ROUTES_ROUTE_STATUS_H
#define SERVER_ROUTES_ROUTE_STATUS_H

#include "server/serve/conn.h"

/* The step table of a GET route. */
extern conn_step_fn *const route_status_steps[];

#endif
