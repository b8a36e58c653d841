/*
 * What load balancers, Kubernetes and Prometheus ask: GET /livez, /readyz and /health,
 * /metrics; and OPTIONS of every path. Loop thread; each is answered at once from what the
 * loop has, without waiting for the engine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_ROUTE_STATUS_H
#define SERVER_ROUTES_ROUTE_STATUS_H

#include "server/serve/conn.h"

extern const struct route_ops route_status_live, route_status_ready;
extern const struct route_ops route_status_metrics, route_status_options;

#endif
