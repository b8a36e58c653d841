/* POST /tokenize and /detokenize: what the engine's const functions say. Loop thread; the
 * work itself on a uv worker. */
#ifndef SERVER_ROUTES_ROUTE_TOKENIZE_H
#define SERVER_ROUTES_ROUTE_TOKENIZE_H

#include "server/serve/conn.h"

/* NULL-terminated step tables for conn.step. */
extern conn_step_fn *const route_tokenize_encode[];
extern conn_step_fn *const route_tokenize_decode[];

#endif
