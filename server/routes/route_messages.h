/* POST /v1/messages: a generation whose wire format is Anthropic's. Loop thread, but for
 * parsing and rendering.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_ROUTE_MESSAGES_H
#define SERVER_ROUTES_ROUTE_MESSAGES_H

#include "server/serve/conn.h"

extern const struct route_ops route_messages;

#endif
