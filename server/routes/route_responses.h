/* POST /v1/responses: a chat's generation whose wire format is that of responses. Loop
 * thread, but for parsing and rendering.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_ROUTE_RESPONSES_H
#define SERVER_ROUTES_ROUTE_RESPONSES_H

#include "server/serve/conn.h"

extern const struct route_ops route_responses;

#endif
