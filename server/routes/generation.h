/*
 * What a request asks of the engine: the steps of /v1/completions and of the two text
 * routes, and the way back of the engine's events. Loop thread.
 */
#ifndef SERVER_ROUTES_GENERATION_H
#define SERVER_ROUTES_GENERATION_H

#include "server/serve/conn.h"

/* NULL-terminated step table for conn.step. */
extern conn_step_fn *const generation_completions[];

/* Hands everything the engine said since to the conns it concerns. */
void generation_drain(struct server *server);

/* Ends the jobs of a conn with that reason; a no-op without any. */
void generation_cancel(struct conn *c, enum finish_reason why);

/* Pauses or resumes the jobs by how much of the stream is unread. */
void generation_balance(struct conn *c, uint64_t now_ns);

/* True while the engine owes events to the conn. */
bool generation_pending(const struct conn *c);

/* Frees what completions hold; nothing may be pending. */
void generation_free(struct conn *c);

#endif
