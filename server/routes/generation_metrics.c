/* Counting events.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/routes/generation_metrics.h"

void generation_metrics_hit(struct conn *c, const struct event *ev)
{
    struct generation_hit *hit = &((struct generation *)c->priv)->hit;
    hit->tokens += (uint64_t)ev->n_cached;
    hit->depth += (uint64_t)ev->n_found;
    hit->bytes += ev->found_bytes;
}

void generation_metrics_token(struct conn *c, const struct event *ev)
{
    uint64_t now = server_now();
    struct generation *g = c->priv;
    struct generation_choice *choice = &g->choices[ev->choice];
    struct metrics *m = &c->server->metrics;
    m->generated_tokens++;
    choice->n_tokens++;
    tenant_charge(c->tenant, 1, now);
    if (!c->first_ns) {
        c->first_ns = now;
        metrics_time(m, TIMING_FIRST_TOKEN, (double)(now - c->began_ns) / 1e9);
    }
    if (choice->token_ns)
        metrics_time(m, TIMING_INTER_TOKEN, (double)(now - choice->token_ns) / 1e9);
    choice->token_ns = now;
}

void generation_metrics_finish(struct conn *c, const struct event *ev)
{
    const struct generation *g = c->priv;
    struct metrics *m = &c->server->metrics;
    enum finish_reason why = ev->reason < FINISH_N ? ev->reason : FINISH_ERROR;
    m->finished[why]++;
    c->usage.finished |= 1u << why;
    int silent = ev->n_generated - g->choices[ev->choice].n_tokens;
    if (silent > 0) { /* an end token, and what a stop string swallowed */
        m->generated_tokens += (uint64_t)silent;
        tenant_charge(c->tenant, silent, server_now());
    }
    c->usage.generated_tokens += (uint64_t)ev->n_generated;
}

static void time_between(struct metrics *m, enum metrics_timing which, uint64_t from,
                         uint64_t to)
{
    if (from && to >= from)
        metrics_time(m, which, (double)(to - from) / 1e9);
}

void generation_metrics_prompt(struct conn *c, const struct event *ev)
{
    struct metrics *m = &c->server->metrics;
    m->prompt_tokens += (uint64_t)ev->n_prompt;
    m->cached_tokens += (uint64_t)ev->n_cached;
    c->usage.prompt_tokens += (uint64_t)ev->n_prompt;
    c->usage.cached_tokens += (uint64_t)ev->n_cached;
    time_between(m, TIMING_QUEUE, ev->submit_ns,
                 ev->admit_ns ? ev->admit_ns : ev->now_ns);
    time_between(m, TIMING_PREFILL, ev->admit_ns, ev->prefill_ns);
    time_between(m, TIMING_DECODE, ev->prefill_ns, ev->now_ns);
}
