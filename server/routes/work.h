/*
 * What a request asks of the engine: the steps of /v1/completions and of the two text
 * routes, and the way back of the engine's events. Loop thread.
 */
#ifndef SERVER_ROUTES_WORK_H
#define SERVER_ROUTES_WORK_H

#include "server/serve/conn.h"

/* NULL-terminated step table for conn.step. */
extern conn_step_fn *const work_completions[];

/* Has `run` done by a worker; conn_advance follows, which asks work_failed first. Answers
 * CONN_WAIT or, with nothing started, -code. */
int work_start(struct conn *c, encode_fn *run, struct err *err);
int work_failed(const struct conn *c, struct err *err);

/* The conn that holds the work. */
struct conn *work_conn(struct encode *w);

/* Hands everything the engine said since to the conns it concerns. */
void work_drain(struct loop *l);

/* Ends the jobs of a conn with that reason; a no-op without any. */
void work_cancel(struct conn *c, enum finish_reason why);

/* Pauses or resumes the jobs by how much of the stream is unread. */
void work_balance(struct conn *c, uint64_t now_ns);

/* True while the engine owes events to the conn. */
bool work_pending(const struct conn *c);

/* Frees what completions hold; nothing may be pending. */
void work_free(struct conn *c);

#endif
