/* Events of requests and sequences: event_of fills in what all have in common.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/emit.h"

#include "engine/run/lease.h"

#include <math.h>
#include <string.h>

static struct event event_of(const struct runner *r, const struct seq *s,
                             enum event_kind kind)
{
    return (struct event){.kind = kind,
                          .request = s->req->id,
                          .choice = s->req->gen.first_choice + s->choice,
                          .id = -1,
                          .logprob = NAN,
                          .text = "",
                          .stop_id = -1,
                          .stop_string = -1,
                          .now_ns = r->now_ns};
}

static void set_logprobs(struct event *ev, const struct sample_out *out)
{
    ev->logprob = out->logprob;
    ev->n_top = out->n_top;
    memcpy(ev->top, out->top, sizeof ev->top);
}

void emit_start(struct runner *r, struct request *q)
{
    struct event ev = event_of(r, &q->seqs[0], EVENT_START);
    q->admit_ns = r->now_ns;
    ev.n_cached = q->n_cached;
    ev.n_found = q->n_found;
    ev.found_bytes = q->found_bytes;
    r->emit(r->emit_arg, &ev);
}

void emit_load(struct runner *r, struct request *q, struct engine_lease *state)
{
    struct event ev = event_of(r, &q->seqs[0], EVENT_LOAD);
    ev.state = state;
    r->emit(r->emit_arg, &ev);
}

void emit_busy(struct runner *r, struct request *q)
{
    struct event ev = event_of(r, &q->seqs[0], EVENT_BUSY);
    r->emit(r->emit_arg, &ev);
    flows_refuse(q);
    sched_remove(&r->sched, q);
    request_free(q);
}

void emit_prompt(struct runner *r, struct seq *s, int t, const struct sample_out *out)
{
    struct event ev = event_of(r, s, EVENT_PROMPT);
    ev.id = s->tokens[t];
    if (out)
        set_logprobs(&ev, out);
    r->emit(r->emit_arg, &ev);
}

static void emit_token(struct runner *r, struct seq *s, const struct detok_token *t)
{
    struct event ev = event_of(r, s, EVENT_TOKEN);
    ev.id = t->id;
    ev.text = t->text;
    ev.text_len = t->text_len;
    ev.special = r->vocab.vocab && vocab_special(r->vocab.vocab, t->id);
    if (s->records)
        set_logprobs(&ev, &s->records[t->slot]);
    r->emit(r->emit_arg, &ev);
}

static void emit_released(struct runner *r, struct seq *s, const struct detok_out *out)
{
    for (size_t i = 0; i < out->n; i++)
        emit_token(r, s, &out->tokens[i]);
}

static void release(struct runner *r, struct seq *s, enum finish_reason why)
{
    struct request *q = s->req;
    lease_detach(s);
    reuse_end(&r->reuse, s, why == FINISH_ERROR);
    r->sched.n_seqs -= q->admitted;
    s->state = SEQ_DONE;
    if (--q->n_live == 0) {
        sched_remove(&r->sched, q);
        request_free(q);
    }
}

static void finish(struct runner *r, struct seq *s, struct event *ev)
{
    const struct request *q = s->req;
    ev->n_prompt = q->n_prompt;
    ev->n_cached = q->n_cached;
    ev->n_generated = s->n_tokens - q->n_prompt;
    ev->submit_ns = q->submit_ns;
    ev->admit_ns = q->admit_ns;
    ev->prefill_ns = q->prefill_ns;
    ev->first_ns = q->first_ns;
    if (ev->reason != FINISH_ERROR)
        speculate_settle(r, s, q->to_save != NULL);
    ev->state = lease_at_end(r, s, ev->reason);
    r->emit(r->emit_arg, ev);
    release(r, s, ev->reason);
}

static bool saves(const struct seq *s, const struct event *ev)
{
    return s->req->to_save && (ev->reason == FINISH_STOP || ev->reason == FINISH_LENGTH);
}

/* For the state that is saved: the end that the detokeniser found. */
static void note_end(struct seq *s, const struct event *ev, const struct detok_out *out)
{
    int32_t n = s->n_tokens, from = n - (int32_t)out->n_dropped - (out->shown > 0);
    if (saves(s, ev) && (from < n || s->detok.tail_len > 0))
        s->end =
            (struct answer_end){n, from, (int32_t)out->shown, (int32_t)out->stop_end};
}

/* The end of a text that no stop string cut: emits what was held back, but for an
 * incomplete character if the state is saved, whose text may be continued. */
static void flush(struct runner *r, struct seq *s, struct event *ev)
{
    if (!r->vocab.vocab)
        return;
    struct detok_out out;
    if (saves(s, ev))
        detok_suspend(&s->detok, &out);
    else
        detok_flush(&s->detok, &out);
    emit_released(r, s, &out);
    ev->text = out.rest ? out.rest : "";
    ev->text_len = out.rest_len;
    if (out.stop >= 0 && (ev->reason == FINISH_STOP || ev->reason == FINISH_LENGTH)) {
        ev->reason = FINISH_STOP;
        ev->stop_string = out.stop;
    }
}

void emit_finish(struct runner *r, struct seq *s, enum finish_reason why)
{
    struct event ev = event_of(r, s, EVENT_FINISH);
    ev.reason = why;
    flush(r, s, &ev);
    note_end(s, &ev, &(struct detok_out){0});
    finish(r, s, &ev);
}

static void finish_on_id(struct runner *r, struct seq *s, int32_t id)
{
    struct event ev = event_of(r, s, EVENT_FINISH);
    ev.reason = FINISH_STOP;
    ev.stop_id = id;
    flush(r, s, &ev);
    note_end(s, &ev, &(struct detok_out){.n_dropped = 1});
    finish(r, s, &ev);
}

static void finish_on_string(struct runner *r, struct seq *s, const struct detok_out *out)
{
    struct event ev = event_of(r, s, EVENT_FINISH);
    ev.reason = FINISH_STOP;
    ev.stop_string = out->stop;
    note_end(s, &ev, out);
    finish(r, s, &ev);
}

static bool is_end(const struct request *q, int32_t id)
{
    for (int i = 0; i < q->n_end_ids; i++)
        if (q->end_ids[i] == id)
            return true;
    return false;
}

/* Emits the tokens that the detokeniser releases now. */
static void push_text(struct runner *r, struct seq *s, struct detok_out *out)
{
    uint32_t slot = s->next_record;
    *out = (struct detok_out){.stop = -1};
    if (s->records)
        s->records[slot] = s->next;
    s->next_record = (slot + 1) % s->n_records;
    if (!r->vocab.vocab) {
        struct detok_token plain = {.id = s->next.id, .slot = slot, .text = ""};
        emit_token(r, s, &plain);
        return;
    }
    detok_push(&s->detok, s->next.id, slot, out);
    emit_released(r, s, out);
}

bool emit_sampled(struct runner *r, struct seq *s)
{
    struct request *q = s->req;
    struct detok_out out;
    int32_t id = s->next.id;
    if (id < 0) {
        emit_finish(r, s, FINISH_ERROR);
        return false;
    }
    s->tokens[s->n_tokens++] = id;
    sched_charge(&r->sched, q, 1);
    if (!q->first_ns)
        q->first_ns = r->now_ns;
    if (is_end(q, id)) {
        finish_on_id(r, s, id);
        return false;
    }
    push_text(r, s, &out);
    bool full = s->n_tokens - q->n_prompt == q->gen.max_tokens;
    if (out.stop >= 0)
        finish_on_string(r, s, &out);
    else if (full)
        emit_finish(r, s, FINISH_LENGTH);
    return out.stop < 0 && !full;
}
