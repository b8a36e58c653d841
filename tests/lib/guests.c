/* Guests and what they are served.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/guests.h"

#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct maker model;
int32_t guests_ids[GUESTS_CONTEXT];

int guests_make(void **state)
{
    static const struct maker_sizes sizes = {50, 24, 2, 2, 1, 16, GUESTS_CONTEXT};
    (void)state;
    maker_open(&model);
    maker_transxssm(&model, &sizes);
    for (int i = 0; i < GUESTS_CONTEXT; i++)
        guests_ids[i] = i * 7 % 50;
    return 0;
}

int guests_remove(void **state)
{
    (void)state;
    maker_close(&model);
    return 0;
}

struct engine_options guests_options(void)
{
    return (struct engine_options){.model_dir = model.dir,
                                   .n_threads = 1,
                                   .max_seqs = GUESTS_SEQS,
                                   .step_rows = GUESTS_ROWS,
                                   .wide_wait_ns = 2 * GUESTS_SECOND,
                                   .no_tokenizer = true};
}

void guest_ask(struct drive *d, uint64_t id, const struct guest *a)
{
    struct gen_params g = drive_greedy(a->max_tokens);
    struct err err;
    g.ignore_eos = true;
    g.n = a->n ? a->n : 1;
    g.temperature = g.n > 1;
    g.priority = a->priority;
    struct engine_request r = {.id = id,
                               .ids = guests_ids,
                               .n_ids = (size_t)a->n_prompt,
                               .tenant = a->tenant,
                               .client = a->client,
                               .connection = a->connection,
                               .share = a->share,
                               .gen = g};
    assert_int_equal(engine_submit(d->e, &r, &err), 0);
}

void guests_step_at(struct drive *d, uint64_t now_ns)
{
    d->now_ns = now_ns;
    drive_step(d);
}

bool guest_started(const struct drive *d, uint64_t id)
{
    return drive_count(d, id, EVENT_START) > 0;
}

bool guest_ended(const struct drive *d, uint64_t id)
{
    return drive_finish(d, id, 0) != NULL;
}

void guests_expect_order(const struct drive *d, const uint64_t *order, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < d->n; i++)
        if (d->notes[i].ev.kind == EVENT_START) {
            assert_true(at < n);
            assert_int_equal(d->notes[i].ev.request, order[at++]);
        }
    assert_int_equal(at, n);
}

void serving_open(struct serving *s, const struct guest *guests, size_t n,
                  const struct engine_options *o)
{
    assert_true(n <= GUESTS_MAX);
    *s = (struct serving){.guests = guests, .n_guests = n, .now_ns = GUESTS_SECOND};
    drive_open(&s->d, o);
}

void serving_ask(struct serving *s, size_t who)
{
    guest_ask(&s->d, s->next++ * GUESTS_MAX + who, &s->guests[who]);
    s->live[who]++;
}

void serving_step(struct serving *s)
{
    guests_step_at(&s->d, s->now_ns += GUESTS_SECOND / 100);
    for (; s->read < s->d.n; s->read++) {
        const struct event *ev = &s->d.notes[s->read].ev;
        size_t who = ev->request % GUESTS_MAX;
        if (ev->kind == EVENT_START)
            s->served[who] += s->guests[who].n_prompt - ev->n_cached;
        s->served[who] += ev->kind == EVENT_TOKEN;
        s->live[who] -= ev->kind == EVENT_FINISH;
    }
}

/* Steps while each asker keeps so many requests in the engine. */
void serving_closed_loop(struct serving *s, const int *depths, int n_steps)
{
    for (int i = 0; i < n_steps; i++) {
        for (size_t who = 0; who < s->n_guests; who++)
            while (s->live[who] < depths[who])
                serving_ask(s, who);
        serving_step(s);
    }
}

double serving_fairness(const struct serving *s)
{
    double sum = 0, squares = 0;
    for (size_t who = 0; who < s->n_guests; who++) {
        int share = s->guests[who].share;
        double x = s->served[who] / (share ? share : 1);
        sum += x;
        squares += x * x;
    }
    return sum * sum / ((double)s->n_guests * squares);
}
