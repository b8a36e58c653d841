/* The embedded web page at `/`: one document, nothing fetched from elsewhere. Loop
 * thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_ROUTE_WEBPAGE_H
#define SERVER_ROUTES_ROUTE_WEBPAGE_H

#include "server/serve/conn.h"

extern const struct route_ops route_webpage;

#endif
