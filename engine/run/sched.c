/* Admission and the row budget.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/sched.h"

#define REQUEST(n) LIST_OF(n, struct request, link)

void sched_init(struct sched *s, struct reuse *reuse, int max_seqs, int step_rows)
{
    *s = (struct sched){.reuse = reuse, .max_seqs = max_seqs, .step_rows = step_rows};
    list_init(&s->waiting);
    list_init(&s->running);
}

void sched_push(struct sched *s, struct request *r)
{
    struct list *at = &s->waiting;
    while (at->prev != &s->waiting && REQUEST(at->prev)->gen.priority > r->gen.priority)
        at = at->prev;
    list_push_before(at, &r->link);
    s->n_waiting++;
}

void sched_remove(struct sched *s, struct request *r)
{
    list_remove(&r->link);
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

void sched_admit(struct sched *s, sched_admit_fn *fn, void *arg)
{
    while (!list_empty(&s->waiting)) {
        struct request *r = REQUEST(s->waiting.next);
        if (s->n_seqs + r->gen.n > s->max_seqs || !reuse_begin(s->reuse, r))
            return;
        list_remove(&r->link);
        list_push(&s->running, &r->link);
        s->n_waiting--;
        s->n_running++;
        s->n_seqs += r->gen.n;
        r->admitted = true;
        fn(arg, r);
    }
}

static int give_decode_rows(struct sched *s, int *n_prefill)
{
    int rows = 0;
    *n_prefill = 0;
    for (struct list *n = s->running.next; n != &s->running; n = n->next) {
        struct request *r = REQUEST(n);
        for (int i = 0; i < r->gen.n; i++) {
            struct seq *q = &r->seqs[i];
            bool decodes = q->state == SEQ_DECODE && !r->paused;
            q->n_rows = decodes ? q->n_tokens - q->n_run : 0;
            rows += q->n_rows;
            *n_prefill += q->state == SEQ_PREFILL && q->n_run < r->cut && !r->paused;
        }
    }
    return rows;
}

/* Two rounds: an even share for each prompt, then what is left in order of arrival. */
static int give_prefill_rows(struct sched *s, int left, int share)
{
    int given = 0;
    for (struct list *n = s->running.next; n != &s->running && given < left;
         n = n->next) {
        struct request *r = REQUEST(n);
        struct seq *q = &r->seqs[0];
        if (q->state != SEQ_PREFILL || r->paused)
            continue;
        int more = r->cut - q->n_run - q->n_rows;
        more = more < share ? more : share;
        more = more < left - given ? more : left - given;
        q->n_rows += more;
        given += more;
    }
    return given;
}

int sched_plan(struct sched *s)
{
    int n_prefill, rows = give_decode_rows(s, &n_prefill);
    if (n_prefill == 0)
        return rows;
    int left = s->step_rows - rows, share = left / n_prefill;
    rows += give_prefill_rows(s, left, share > 0 ? share : 1);
    rows += give_prefill_rows(s, s->step_rows - rows, s->step_rows);
    return rows;
}
