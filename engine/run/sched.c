/* The lists, admission and the row budget.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/sched.h"

#define REQUEST(n) LIST_OF(n, struct request, link)

/* Requests that looked as if they fitted and did not, in one step. */
enum { MAX_TRIES = 16 };

void sched_init(struct sched *s, struct reuse *reuse, int max_seqs, int step_rows)
{
    *s = (struct sched){.reuse = reuse, .max_seqs = max_seqs, .step_rows = step_rows};
    list_init(&s->waiting);
    list_init(&s->running);
    flows_init(&s->flows);
}

void sched_close(struct sched *s)
{
    flows_close(&s->flows);
}

/* ---- the lists ---------------------------------------------------------------- */

/* Pages that a request takes from the pool even if all of its prompt is cached. */
static int64_t least_pages(const struct sched *s, const struct request *r)
{
    if (!s->reuse->pages->page_bytes)
        return 0;
    bool cached = s->reuse->prefix && r->reuse;
    return request_pages(r) - (cached ? r->n_prompt / PAGE_TOKENS : 0);
}

int sched_push(struct sched *s, struct request *r, struct err *err)
{
    int rc = flows_join(&s->flows, r, err);
    if (rc)
        return rc;
    r->least_pages = least_pages(s, r);
    list_push(&s->waiting, &r->link);
    s->n_waiting++;
    return 0;
}

struct request *sched_excess(const struct sched *s, struct request *newest)
{
    if (!s->max_waiting || s->n_waiting <= s->max_waiting + s->max_seqs - s->n_seqs)
        return NULL;
    struct request *r = flows_last(&s->flows);
    if (r->flow->n_live == r->flow->n_waiting)
        return r;
    return r->flow == newest->flow ? newest : NULL;
}

void sched_remove(struct sched *s, struct request *r)
{
    list_remove(&r->link);
    flows_leave(&s->flows, r);
    if (r->admitted)
        s->n_running--;
    else
        s->n_waiting--;
}

static struct request *find_in(const struct list *l, uint64_t id)
{
    for (struct list *n = l->next; n != l; n = n->next)
        if (REQUEST(n)->id == id)
            return REQUEST(n);
    return NULL;
}

struct request *sched_find(const struct sched *s, uint64_t id)
{
    struct request *r = find_in(&s->running, id);
    return r ? r : find_in(&s->waiting, id);
}

/* ---- admission ---------------------------------------------------------------- */

/* False: there is no room for it. True: there may be. */
static bool may_fit(const struct sched *s, const struct request *r)
{
    const struct pages *p = s->reuse->pages;
    return s->n_seqs + r->gen.n <= s->max_seqs &&
           r->least_pages <= p->n_free - p->n_reserved + p->n_idle;
}

/* Nothing passes it any more. */
static bool is_due(const struct sched *s, const struct request *r, uint64_t now_ns)
{
    return now_ns - r->submit_ns >= s->wide_wait_ns;
}

/* The first one in order that may fit or that nothing passes; NULL: none. */
static struct request *next_waiting(const struct sched *s, uint64_t now_ns)
{
    const struct flow *best = NULL;
    for (struct list *n = s->flows.ready.next; n != &s->flows.ready; n = n->next) {
        const struct flow *f = LIST_OF(n, struct flow, ready);
        const struct request *r = flows_first(f);
        bool counts = r->tried != s->n_passes && (may_fit(s, r) || is_due(s, r, now_ns));
        if (counts && (!best || flows_before(f, best)))
            best = f;
    }
    return best ? flows_first(best) : NULL;
}

static void admit(struct sched *s, struct request *r)
{
    int cached = r->n_state > r->n_cached ? r->n_state : r->n_cached;
    list_remove(&r->link);
    list_push(&s->running, &r->link);
    s->n_waiting--;
    s->n_running++;
    s->n_seqs += r->gen.n;
    r->admitted = true;
    flows_admit(&s->flows, r);
    sched_charge(s, r, r->n_prompt - cached);
}

static void stamp_new(struct sched *s, uint64_t now_ns)
{
    for (struct list *n = s->waiting.prev; n != &s->waiting; n = n->prev) {
        if (REQUEST(n)->submit_ns)
            return;
        REQUEST(n)->submit_ns = now_ns;
    }
}

void sched_admit(struct sched *s, uint64_t now_ns, sched_admit_fn *fn, void *arg)
{
    stamp_new(s, now_ns);
    s->n_passes++;
    for (int n_tries = 0; s->n_seqs < s->max_seqs && n_tries < MAX_TRIES;) {
        struct request *r = next_waiting(s, now_ns);
        if (!r)
            return;
        if (may_fit(s, r) && reuse_begin(s->reuse, r)) {
            admit(s, r);
            fn(arg, r);
        } else if (is_due(s, r, now_ns)) {
            return;
        } else {
            r->tried = s->n_passes;
            n_tries++;
        }
    }
}

void sched_charge(struct sched *s, const struct request *r, int n_tokens)
{
    flows_charge(&s->flows, r, n_tokens);
}

/* ---- a step's rows ------------------------------------------------------------ */

static bool wants_prefill(const struct request *r)
{
    const struct seq *q = &r->seqs[0];
    return q->state == SEQ_PREFILL && q->n_run < r->cut && !r->paused;
}

/* Adds a prompt to those that share, and its flows where it is the first below them. */
static void begin_sharing(const struct request *r)
{
    double share = 1;
    for (struct flow *f = r->flow; f; share = f->share, f = f->up) {
        bool shares = f->sharing > 0;
        f->sharing += share;
        if (shares)
            return;
    }
}

static void end_sharing(const struct request *r)
{
    for (struct flow *f = r->flow; f; f = f->up)
        f->sharing = 0;
}

/* A prompt's share of n rows. */
static int rows_of(const struct request *r, int n)
{
    double part = 1, share = 1;
    for (const struct flow *f = r->flow; f; share = f->share, f = f->up)
        part *= f->sharing / share;
    int rows = (int)(n / part);
    return rows > 0 ? rows : 1;
}

static int give_decode_rows(struct sched *s)
{
    int rows = 0;
    for (struct list *n = s->running.next; n != &s->running; n = n->next) {
        struct request *r = REQUEST(n);
        for (int i = 0; i < r->gen.n; i++) {
            struct seq *q = &r->seqs[i];
            bool decodes = q->state == SEQ_DECODE && !r->paused;
            q->n_rows = decodes ? q->n_tokens - q->n_run : 0;
            rows += q->n_rows;
        }
        if (wants_prefill(r))
            begin_sharing(r);
    }
    return rows;
}

/* To each prompt its share, or, in order of arrival, all that it can use. */
static int give_prefill_rows(struct sched *s, int left, bool shared)
{
    int given = 0;
    for (struct list *n = s->running.next; n != &s->running && given < left;
         n = n->next) {
        struct request *r = REQUEST(n);
        struct seq *q = &r->seqs[0];
        if (!wants_prefill(r))
            continue;
        int more = r->cut - q->n_run - q->n_rows,
            share = shared ? rows_of(r, left) : left;
        more = more < share ? more : share;
        more = more < left - given ? more : left - given;
        q->n_rows += more;
        given += more;
    }
    return given;
}

int sched_plan(struct sched *s)
{
    int rows = give_decode_rows(s);
    rows += give_prefill_rows(s, s->step_rows - rows, true);
    rows += give_prefill_rows(s, s->step_rows - rows, false);
    for (struct list *n = s->running.next; n != &s->running; n = n->next)
        if (wants_prefill(REQUEST(n)))
            end_sharing(REQUEST(n));
    return rows;
}
