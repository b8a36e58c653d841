/* POST /tokenize and /detokenize: what the engine's const functions say. Loop thread; the
 * work itself on a uv worker. */
#ifndef SERVER_ROUTES_TEXT_H
#define SERVER_ROUTES_TEXT_H

#include "server/serve/conn.h"

/* NULL-terminated step tables for conn.step. */
extern conn_step_fn *const text_tokenize[];
extern conn_step_fn *const text_detokenize[];

#endif
