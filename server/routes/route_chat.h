/* POST /v1/chat/completions: a generation whose wire format is the chat completion's.
 * Loop thread, but for parsing and rendering.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_ROUTE_CHAT_H
#define SERVER_ROUTES_ROUTE_CHAT_H

#include "server/serve/conn.h"

extern const struct route_ops route_chat;

#endif
