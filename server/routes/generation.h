/*
 * What a request asks of the engine: the steps of /v1/completions and of the two text
 * routes, and the way back of the engine's events. Loop thread.
 */
#ifndef SERVER_ROUTES_GENERATION_H
#define SERVER_ROUTES_GENERATION_H

#include "server/serve/conn.h"

/* NULL-terminated step table for conn.step. */
extern conn_step_fn *const generation_completions[];

/* Has `run` done by a worker; conn_advance follows, which asks conn_task_failed first. Answers
 * CONN_WAIT or, with nothing started, -code. */
int conn_start_task(struct conn *c, task_fn *run, struct err *err);
int conn_task_failed(const struct conn *c, struct err *err);

/* The conn that holds the work. */
struct conn *conn_of_task(struct task *w);

/* Hands everything the engine said since to the conns it concerns. */
void generation_drain(struct loop *l);

/* Ends the jobs of a conn with that reason; a no-op without any. */
void generation_cancel(struct conn *c, enum finish_reason why);

/* Pauses or resumes the jobs by how much of the stream is unread. */
void generation_balance(struct conn *c, uint64_t now_ns);

/* True while the engine owes events to the conn. */
bool generation_pending(const struct conn *c);

/* Frees what completions hold; nothing may be pending. */
void generation_free(struct conn *c);

#endif
