/*
 * The event loop of `ssmd serve`: opens everything, turns until a signal or a fault,
 * closes everything. Main thread. Its handles and the order of opening and closing are
 * private to loop.c; what connections may touch is in server.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_LOOP_H
#define SERVER_SERVE_LOOP_H

#include "server/serve/server.h"

/* Serves until a signal: 0. A fault in opening, or of the engine's: -code. cfg is
 * borrowed; routes knows what each route does. */
int loop_run(const struct config *cfg, server_routes_fn *routes, struct err *err);

#endif
