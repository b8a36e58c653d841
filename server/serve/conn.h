/*
 * One request's life: head checked, body collected, then the steps of its route, then the
 * answer. Loop thread.
 *
 * A conn lives until HTTP is done with its call, no worker is at it and the
 * engine has answered for each of its jobs: what those borrow is the conn's. A fault at
 * any step ends in conn_fail, which answers with the true status or, in a stream, with an
 * error event. The subtle point: a refused request's body is read to its end before the
 * answer, or the client would see a reset instead.
 */
#ifndef SERVER_SERVE_CONN_H
#define SERVER_SERVE_CONN_H

#include "api/completion_response.h"
#include "api/tokenize.h"
#include "server/http/stream.h"
#include "server/routes/generation_state.h"
#include "server/serve/route.h"
#include "server/serve/server.h"
#include "server/serve/task.h"

enum { CONN_ID_BYTES = 65 };

struct conn;
struct route_transfer;

/* Runs one step: CONN_NEXT, CONN_WAIT (conn_advance will be called), CONN_DONE
 * (answered), or -code with err set. */
enum { CONN_NEXT = 0, CONN_WAIT = 1, CONN_DONE = 2 };
typedef int conn_step_fn(struct conn *c, struct err *err);

/* What was found stored, of all jobs that have started. */
struct generation_hit {
    uint64_t hit, depth; /* tokens: begun with, there */
    uint64_t bytes;      /* of the states that are there */
};

/* What was heard of one choice. */
struct generation_choice {
    uint64_t token_ns; /* when its last token came */
    int n_tokens;      /* counted in metrics.generated_tokens */
};

struct conn {
    struct list at;         /* in server.conns */
    struct server *server;  /* borrows */
    struct http_call *call; /* borrows; NULL once HTTP is done with it */
    struct route route;
    char *path; /* owns: route.path points into it */
    char tenant[64], request_id[CONN_ID_BYTES];
    uint64_t began_ns, answered_ns;

    bool refused, whole, replied,
        sent; /* refused: fault is the answer; whole: body is in */
    struct err fault;
    uint64_t body_bytes, answer_bytes;
    uint64_t refused_ns;
    uint64_t refused_at, seen_bytes; /* body_bytes when refused or answered; last tick */
    int status;
    struct buf body;

    conn_step_fn *const *step; /* the next one; NULL-terminated table */
    struct task task;

    /* /v1/states: route_transfer.c */
    struct route_transfer *transfer; /* owns */

    /* /tokenize, /detokenize */
    struct tokenize_request text;

    /* completions: generation.c */
    struct completion_request req;
    struct completion_response *answer;
    struct job *jobs;                  /* owns, [n_jobs] */
    struct generation_choice *choices; /* owns, [choices of all jobs] */
    struct generation_state state;
    struct generation_hit hit;
    char hit_field[96]; /* X-SSMD-State */
    size_t n_jobs, n_submitted, jobs_left;
    int admitted; /* jobs counted by admit that are not submitted yet */
    uint64_t submit_ns, submit_steps, start_ns,
        first_ns; /* steps: of the engine till then */
    bool started, cancelled;
    struct stream stream;
    struct completion_response_usage usage;
};

/* The callbacks http.c drives conns by; their arg is the struct server. */
extern const struct http_owner conn_owner;

/* Runs steps until one waits or the answer is given. */
void conn_advance(struct conn *c);

/* Has a worker run `run` for the conn; conn_advance follows, whose next step asks
 * conn_task_failed first. CONN_WAIT or, with nothing started, -code. */
int conn_start_task(struct conn *c, task_fn *run, struct err *err);
int conn_task_failed(const struct conn *c, struct err *err);

/* The conn whose task it is. */
struct conn *conn_of_task(struct task *w);

/* Answers with an error: plain while no head was sent, as the stream's last event after.
 * Only the first answer counts. */
void conn_fail(struct conn *c, const struct err *err);

/* The body is read to its end and thrown away, then err is the answer. */
void conn_refuse(struct conn *c, const struct err *err);

/* Frees the body once it is parsed. */
void conn_drop_body(struct conn *c);

/* Sends an answer, adding what every answer has; takes r->body. */
void conn_reply(struct conn *c, struct http_reply *r);

/* Answers 200 with a JSON body, which is taken. */
void conn_answer(struct conn *c, struct buf *body);

/* Sends the head of a stream that conn.stream feeds. */
void conn_open_stream(struct conn *c);

/* A socket whose request does not become whole: err goes straight onto it, and no more
 * is read. */
void conn_give_up(struct conn *c, const struct err *err);

/* Frees the conn if nothing holds it any more. */
void conn_release(struct conn *c);

#endif
