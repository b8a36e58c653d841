/*
 * One request's life: head checked, body collected, then the steps of its route, then the
 * answer. Loop thread.
 *
 * A conn knows no endpoint: what differs is a row of struct route_ops and the route's own
 * `priv`. It lives until HTTP is done with its call, no task of it is active, the engine
 * has answered for each of its jobs and the route lets it go: tasks and jobs borrow from
 * it. A fault at any step ends in conn_fail.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_CONN_H
#define SERVER_SERVE_CONN_H

#include "api/problem.h"
#include "server/http/address.h"
#include "server/http/stream.h"
#include "server/serve/route.h"
#include "server/serve/server.h"

enum { CONN_ID_BYTES = 65 };

struct conn;

/* Runs one step: CONN_NEXT, CONN_WAIT (conn_advance will be called), CONN_DONE
 * (answered), or -code with err set. */
enum { CONN_NEXT = 0, CONN_WAIT = 1, CONN_DONE = 2 };
typedef int conn_step_fn(struct conn *c, struct err *err);

enum route_body {
    BODY_NONE,   /* whatever comes is dropped */
    BODY_JSON,   /* collected in conn.body; its media type is checked */
    BODY_OBJECT, /* of any type and of an object's size: `take` gets it as it comes */
};

/*
 * What a route does. All but `steps` may be NULL. Members from `take` on are called only
 * while conn.priv is set.
 */
struct route_ops {
    conn_step_fn *const *steps; /* NULL-terminated; run once the body is whole */
    enum route_body body;
    enum problem_form errors; /* how they are written */
    /* The path and the key are good, the rest of the head is unchecked. */
    int (*check)(const struct conn *c, struct err *err);
    /* The head is good: makes conn.priv. */
    int (*accept)(struct conn *c, struct err *err);
    /* As http_owner.body and http_owner.read. */
    ssize_t (*take)(struct conn *c, const char *data, size_t len);
    ssize_t (*read)(struct conn *c, char *to, size_t max);
    /* From the engine, of one of the conn's jobs; `refused`: no event follows. */
    void (*event)(struct conn *c, struct job *j, const struct event *ev);
    void (*refused)(struct conn *c, struct job *j, const struct err *err);
    /* Writes err as the last event of the open stream. */
    void (*fail)(struct conn *c, const struct err *err);
    /* Ends the conn's jobs: nobody waits for the answer, or time is up. */
    void (*cancel)(struct conn *c, enum finish_reason why);
    /* At each tick of the reaper. */
    void (*tick)(struct conn *c, uint64_t now_ns);
    /* The conn is about to be freed. True: a task was started, conn_release follows. */
    bool (*release)(struct conn *c);
    void (*free)(struct conn *c); /* frees priv */
};

/* Tokens, and how choices ended, for the log. */
struct conn_usage {
    uint64_t prompt_tokens, cached_tokens, generated_tokens;
    unsigned finished; /* one bit for each enum finish_reason that occurred */
};

struct conn {
    struct list at;         /* in server.conns */
    struct server *server;  /* borrows */
    struct http_call *call; /* borrows; NULL once HTTP is done with it */
    struct route route;
    char *path;            /* owns; route.path points into it */
    struct tenant *tenant; /* the server's; never NULL */
    char request_id[CONN_ID_BYTES];
    const char *cache_key; /* prompt_cache_key, for the log; borrows from priv, or NULL */
    struct address client; /* the peer, or whom a trusted peer forwards for */
    uint64_t connection;   /* http_call's number of it */

    const struct route_ops *ops; /* never NULL; an empty row until the path is known */
    void *priv;                  /* the route's; freed by ops->free */
    conn_step_fn *const *step;   /* the next one */
    struct task task;            /* of whatever step waits for a worker */
    size_t pending;              /* jobs that the engine has not answered for */

    bool whole;   /* the body is in */
    bool replied; /* an answer or a stream's head was sent */
    bool sent;    /* all of the answer */
    struct err fault;
    struct buf body;
    size_t charged, body_charged; /* bytes, in server.budget; of these, the body's */
    size_t unread;                /* bytes of the answer, in server.budget, too */
    struct stream stream;

    int status;
    int retry_after_s;                        /* of a refusal; 0: as the queue says */
    uint64_t began_ns, answered_ns, first_ns; /* first_ns: the first token */
    uint64_t queue_ns;                        /* how long its jobs waited */
    uint64_t body_bytes, answer_bytes;
    struct conn_usage usage;
};

/* The callbacks http.c drives conns by; their arg is the struct server. */
extern const struct http_owner conn_owner;

/* Runs steps until one waits or the answer is given. */
void conn_advance(struct conn *c);

/* Has a worker run `run` for the conn, within limit unless that is NULL; conn_advance
 * follows, whose next step asks conn_task_failed first. CONN_WAIT or, with nothing
 * started, -code. */
int conn_start_task(struct conn *c, struct task_limit *limit, task_fn *run,
                    struct err *err);
int conn_task_failed(const struct conn *c, struct err *err);

/* The conn whose task it is. */
struct conn *conn_of_task(struct task *task);

/* Answers with an error: plain while no head was sent, as the stream's last event after.
 * Only the first answer counts. */
void conn_fail(struct conn *c, const struct err *err);

/* Logs a fault that is no client's: 500 or 507. */
void conn_log_fault(const struct conn *c, const struct err *err);

/* Sets conn.fault unless there is one: the first fault is the one that is answered. */
void conn_note_fault(struct conn *c, const struct err *err);

/* Ends the jobs of a conn, if it has any. */
void conn_cancel(struct conn *c, enum finish_reason why);

/* True when the body goes to the route as it comes. */
bool conn_uploads(const struct conn *c);

/* Counts bytes that the conn holds before it is admitted: 0, or ERR_BUSY when they do not
 * fit beside those of others, ERR_TOO_LARGE when they never will; then nothing is
 * counted. What is left is given back when the conn is freed. */
int conn_charge(struct conn *c, size_t bytes, struct err *err);
void conn_discharge(struct conn *c, size_t bytes);

/* Counts the bytes of the answer that are held for the client now, whether they fit in
 * the budget or not: an answer is not refused any more. */
void conn_count_unread(struct conn *c, size_t bytes);

/* Frees the body once it is parsed. */
void conn_drop_body(struct conn *c);

/* Frees the conn unless something still holds it. */
void conn_release(struct conn *c);

#endif
