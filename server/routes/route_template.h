/* POST /apply-template: the prompt that a chat request would have, as text and ids; POST
 * /v1/messages/count_tokens: how many ids that of a messages request has. Loop thread, but
 * for parsing and rendering.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_ROUTE_TEMPLATE_H
#define SERVER_ROUTES_ROUTE_TEMPLATE_H

#include "server/serve/conn.h"

extern const struct route_ops route_template, route_template_count;

#endif
