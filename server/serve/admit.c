/* The queue's limit, its tokens, and how fast they drain.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/admit.h"

#include <math.h>

static const double RATE_SECONDS = 5, /* older rows weigh less than half */
    JOBS = 64;                        /* the same of jobs */
enum { AHEAD = 64 }; /* jobs beyond the limit that the engine has to choose among */
enum { ANSWER_UNKNOWN = 256, RETRY_MIN = 1, RETRY_MAX = 30 };
static const double SPREAD = 1.2; /* RETRY_MAX / SPREAD is the most before it is spread */

/* ---- the limit ---------------------------------------------------------------- */

static bool has_room(const struct admit *a, int n)
{
    if (a->waiting + a->running == 0)
        return true;
    int spare = a->max_seqs > a->seqs ? a->max_seqs - a->seqs : 0;
    int quarter = a->queue_limit / 4, ahead = quarter < AHEAD ? quarter : AHEAD;
    return a->waiting + n <= a->queue_limit + ahead + spare;
}

int admit_check(const struct admit *a, int n, struct err *err)
{
    return has_room(a, n)
               ? 0
               : err_set(err, ERR_BUSY,
                         "the queue is full: %d requests wait; retry later", a->waiting);
}

int admit_take(struct admit *a, int n, struct err *err)
{
    int rc = admit_check(a, n, err);
    a->waiting += rc ? 0 : n;
    return rc;
}

void admit_drop(struct admit *a)
{
    a->waiting--;
}

/* ---- jobs on their way -------------------------------------------------------- */

static void count(struct admit *a, const struct admit_job *j, int sign)
{
    int size = 0;
    while (size < ADMIT_SIZES - 1 && j->max_tokens >> size)
        size++;
    a->n_queued += sign;
    a->prompt_tokens += sign * j->n_prompt;
    a->answers[size].n += sign * j->n_choices;
    a->answers[size].tokens += sign * (double)j->n_choices * j->max_tokens;
}

static void add(struct admit_share *s, double part, double whole, double keep)
{
    s->part = keep * s->part + part;
    s->whole = keep * s->whole + whole;
}

void admit_queue(struct admit *a, const struct admit_job *j)
{
    count(a, j, 1);
}

void admit_leave(struct admit *a, const struct admit_job *j)
{
    count(a, j, -1);
    a->waiting--;
}

void admit_start(struct admit *a, const struct admit_job *j, int n_cached)
{
    admit_leave(a, j);
    a->running++;
    a->seqs += j->n_choices;
    add(&a->uncached, j->n_prompt - n_cached, j->n_prompt, exp(-1 / JOBS));
}

void admit_end(struct admit *a, const struct admit_job *j, int n_generated)
{
    a->running--;
    a->seqs -= j->n_choices;
    if (n_generated >= 0)
        add(&a->answer, n_generated, j->n_choices, exp(-1 / JOBS));
}

/* ---- the drain ---------------------------------------------------------------- */

/* Rows come in steps, which may be long: time counts when they have come. */
void admit_measure(struct admit *a, double rows, uint64_t now_ns)
{
    bool waits = a->waiting > 0;
    if (a->rows_ns && waits && rows == a->rows)
        return;
    if (a->rows_ns && waits && now_ns > a->rows_ns) {
        double seconds = (double)(now_ns - a->rows_ns) / 1e9;
        add(&a->rate, rows - a->rows, seconds, exp(-seconds / RATE_SECONDS));
    }
    a->rows = rows;
    a->rows_ns = waits ? now_ns : 0;
}

static double share_of(const struct admit_share *s, double unknown)
{
    return s->whole > 0 ? s->part / s->whole : unknown;
}

static double queued_tokens(const struct admit *a)
{
    double mean = share_of(&a->answer, ANSWER_UNKNOWN);
    double tokens = a->prompt_tokens * share_of(&a->uncached, 1);
    for (int i = 0; i < ADMIT_SIZES; i++)
        tokens += fmin(a->answers[i].tokens, a->answers[i].n * mean);
    return a->n_queued > 0 ? tokens * a->waiting / a->n_queued : 0;
}

int admit_retry_after(const struct admit *a, double chance)
{
    double rate = share_of(&a->rate, 0);
    double seconds = rate > 0 ? queued_tokens(a) / rate : RETRY_MIN;
    seconds = fmin(fmax(seconds, RETRY_MIN), RETRY_MAX / SPREAD);
    return (int)(seconds + chance * (1 + (SPREAD - 1) * seconds));
}
