/* POST /v1/completions: a generation whose wire format is the text completion's. Loop
 * thread, but for parsing.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_ROUTE_COMPLETIONS_H
#define SERVER_ROUTES_ROUTE_COMPLETIONS_H

#include "server/serve/conn.h"

extern const struct route_ops route_completions;

#endif
