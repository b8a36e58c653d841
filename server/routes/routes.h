/* The table from a route to what it does. Any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_ROUTES_H
#define SERVER_ROUTES_ROUTES_H

#include "server/serve/conn.h"

/* The row of a route that route_find has found; never NULL. */
const struct route_ops *routes_find(const struct route *r);

#endif
