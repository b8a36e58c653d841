/*
 * Between the loop thread and the engine thread: the only place where these two share
 * anything.
 *
 *   thread   runs                                        touches
 *   loop     uv_run: sockets, conns, metrics, reaper     everything but the engine's
 *   uv pool  tasks: bodies, text, the disk               what the task's owner left; a lease
 *   engine   bridge.c: open, inbox, engine_step, close   the engine, the outbox
 *   pool     inside the engine                           the engine's rows
 *   watchdog watchdog.c                                  one atomic counter
 *
 * Two mailboxes. The inbox is a list of messages under one mutex; the engine thread
 * empties it between steps and sleeps on its condition when a step found nothing to do.
 * The outbox is two fixed blocks of bytes under another mutex: events are copied into one
 * while the loop reads the other, so nothing is allocated inside a step. A full outbox
 * makes the engine wait for the loop; the loop never waits for the engine. A third mutex
 * guards the statistics, one copy of all of them after each step, and is held for that
 * copy alone. No function holds two mutexes.
 *
 * Borrowed: a submitted request's arrays, until `taken` answers it. The states that LOAD
 * and FINISH bring are leased until bridge_release_lease; bridge_close takes back those that are
 * out, when no task is active any more.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_BRIDGE_H
#define SERVER_SERVE_BRIDGE_H

#include "engine/base/err.h"
#include "engine/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bridge;

enum bridge_state {
    BRIDGE_LOADING,
    BRIDGE_READY,
    BRIDGE_FAILED, /* the engine did not open */
};

enum { BRIDGE_STEP_BUCKETS = 24, BRIDGE_ROW_BUCKETS = 14 };

/* A count per bucket (not cumulative; the last is +Inf) with the sum of what was seen. */
struct bridge_steps {
    uint64_t seconds[BRIDGE_STEP_BUCKETS], rows[BRIDGE_ROW_BUCKETS];
    double sum_seconds, sum_rows;
};

struct bridge_stats {
    struct engine_stats engine;
    struct bridge_steps steps;
};

/* Upper bounds, in seconds and rows, shared with the metrics page. The last is +Inf. */
extern const double bridge_second_bounds[BRIDGE_STEP_BUCKETS];
extern const double bridge_row_bounds[BRIDGE_ROW_BUCKETS];

struct bridge_options {
    struct engine_options engine; /* strings borrowed until bridge_close; emit is ours */
    size_t max_text_bytes;        /* the longest text one event can carry */
    void (*notify)(void *arg); /* any thread: call bridge_drain on the loop thread soon */
    void *arg;
};

/* Starts the engine thread, which opens the engine in the background. */
int bridge_open(struct bridge **out, const struct bridge_options *o, struct err *err);

/* Ends the thread after the step it is in and closes the engine. Never call it while the
 * engine is loading: that cannot be cut short. Accepts NULL. */
void bridge_close(struct bridge *b);

/* Any thread. On BRIDGE_FAILED *err tells why. */
enum bridge_state bridge_state(const struct bridge *b, struct err *err);

/* For the const functions of engine.h; NULL until BRIDGE_READY. */
const struct engine *bridge_engine(const struct bridge *b);

/* Messages; loop thread. bridge_reader.taken answers a submit, with an error
 * when the engine refused it (then no event follows). -ERR_MEMORY: nothing was sent. */
int bridge_submit(struct bridge *b, const struct engine_request *r, struct err *err);
int bridge_cancel(struct bridge *b, uint64_t id, enum finish_reason why);
int bridge_pause(struct bridge *b, uint64_t id, bool paused);

/* The message that returns a lease, allocated before the lease is out, so that returning
 * cannot fail. ERR_MEMORY. */
struct bridge_reply;
int bridge_reply_new(struct bridge_reply **out, struct err *err);
void bridge_reply_free(struct bridge_reply *reply); /* of no return; accepts NULL */

/* Has the engine thread call engine_lease_release. Takes reply and state. */
void bridge_release_lease(struct bridge *b, struct bridge_reply *reply,
                          struct engine_lease *state, bool good);

/* Asks for a checkpoint that is worth persisting; bridge_reader.persisted answers.
 * ERR_MEMORY. */
int bridge_persist_next(struct bridge *b, bool all);

/* Loop thread: hands over everything since the last call, in order. Event and err are
 * borrowed until the call returns. */
struct bridge_reader {
    void (*taken)(void *arg, uint64_t id, const struct err *err); /* err: NULL = queued */
    void (*event)(void *arg, const struct event *ev);
    void (*persisted)(void *arg,
                      struct engine_lease *state); /* NULL: there is none; may be
                                                             * NULL */
    void *arg;
};
void bridge_drain(struct bridge *b, const struct bridge_reader *r);

/* Any thread, never waiting for a step: all values as they were after one same step. */
void bridge_stats(struct bridge *b, struct bridge_stats *out);

/* Loop thread. True while the engine sleeps: it has taken all messages, and the step after
 * them found nothing to do. */
bool bridge_idle(struct bridge *b);

/* True when the engine has been inside one step for longer than limit_ns. */
bool bridge_stuck(const struct bridge *b, uint64_t limit_ns);

#endif
