/* POST /tokenize and /detokenize. Loop thread; a worker parses, asks the engine and writes
 * the answer, so that four megabytes cost the loop nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ROUTES_ROUTE_TOKENIZE_H
#define SERVER_ROUTES_ROUTE_TOKENIZE_H

#include "server/serve/conn.h"

extern const struct route_ops route_tokenize_encode, route_tokenize_decode;

#endif
