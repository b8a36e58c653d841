/* The writer of text completions. Every choice gathers what its events bring; a stream
 * flushes it as a chunk after each event, any other answer writes it all at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/completion_response.h"

#include "api/echo.h"
#include "api/envelope.h"
#include "api/id_list.h"
#include "engine/base/mem.h"
#include "engine/base/utf8.h"

#include <math.h>

/* What all choices of a prompt share. */
struct part {
    size_t n_tokens, n_cached;
    struct buf ids;   /* an id_list */
    struct echo echo; /* open only when asked for */
};

struct choice {
    struct buf text;       /* gathered, not yet written */
    struct buf ids;        /* an id_list */
    struct logprobs probs; /* gathered, not yet written */
    int32_t stop_id;       /* -1: none */
    size_t n_chars;        /* code points of the answer so far */
    size_t n_generated;
    double sum; /* of log-probabilities */
    size_t n_summed;
    bool opened; /* its first chunk is written */
    bool done;
    enum finish_reason reason;
};

struct completion_response {
    const struct completion_request *req; /* borrows */
    api_piece_fn *piece;
    void *piece_arg;
    struct part *parts;     /* owns, [n_parts] */
    struct choice *choices; /* owns, [n_choices] */
    size_t n_parts, n_choices;
    struct envelope envelope;
    struct buf scratch; /* a text in two halves, made one */
    bool failed;
};

/* One element of `choices`, before it is written. */
struct view {
    const struct part *part;
    struct choice *choice;
    size_t index;
    bool echo;   /* the prompt comes first */
    bool answer; /* what the choice has gathered */
    bool first;  /* nothing of this choice was written before */
    bool last;   /* tells the reason */
};

static void open_envelope(struct completion_response *c,
                          const struct completion_response_head *head)
{
    struct envelope_head h = {.id = head->id,
                              .object = "text_completion",
                              .model = head->model,
                              .created = head->created,
                              .seed = c->req->gen.seed,
                              .more = "",
                              .stream = c->req->stream,
                              .include_usage = c->req->include_usage};
    envelope_open(&c->envelope, &h);
}

int completion_response_open(struct completion_response **out,
                             const struct completion_request *req,
                             const struct completion_response_head *head, struct err *err)
{
    if (req->gen.n > API_MAX_N)
        return err_set(err, ERR_ARGUMENT, "%d choices of a prompt, at most %d",
                       req->gen.n, API_MAX_N);
    struct completion_response *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return err_set(err, ERR_MEMORY, "out of memory for an answer");
    c->req = req;
    c->piece = head->piece;
    c->piece_arg = head->piece_arg;
    c->n_parts = req->prompts.n;
    c->n_choices = req->prompts.n * (size_t)req->gen.n;
    open_envelope(c, head);
    c->parts = mem_zalloc(c->n_parts, sizeof *c->parts);
    c->choices = mem_zalloc(c->n_choices, sizeof *c->choices);
    if (!c->parts || !c->choices || c->envelope.head.failed) {
        size_t n = c->n_choices;
        completion_response_free(c);
        return err_set(err, ERR_MEMORY, "out of memory for %zu choices", n);
    }
    *out = c;
    return 0;
}

static void free_choice(struct choice *ch)
{
    buf_free(&ch->text);
    buf_free(&ch->ids);
    logprobs_free(&ch->probs);
}

void completion_response_free(struct completion_response *c)
{
    if (!c)
        return;
    for (size_t i = 0; c->parts && i < c->n_parts; i++) {
        echo_free(&c->parts[i].echo);
        buf_free(&c->parts[i].ids);
    }
    for (size_t i = 0; c->choices && i < c->n_choices; i++)
        free_choice(&c->choices[i]);
    mem_free(c->parts);
    mem_free(c->choices);
    envelope_free(&c->envelope);
    buf_free(&c->scratch);
    mem_free(c);
}

void completion_response_prompt(struct completion_response *c, size_t prompt,
                                const int32_t *ids, size_t n)
{
    struct part *p = &c->parts[prompt];
    p->n_tokens = n;
    if (c->req->return_token_ids)
        id_list_add_all(&p->ids, ids, n);
    if (c->req->echo)
        echo_open(&p->echo, &c->req->prompts.list[prompt], ids, n, c->piece,
                  c->piece_arg);
}

/* ---- events ------------------------------------------------------------ */

static void take_token(struct completion_response *c, const struct part *p,
                       struct choice *ch, const struct event *ev)
{
    ch->n_generated++;
    if (!isnan(ev->logprob)) {
        ch->sum += (double)ev->logprob;
        ch->n_summed++;
    }
    if (c->req->logprobs >= 0)
        logprobs_put(&ch->probs, ev, p->echo.n_chars + ch->n_chars, c->piece,
                     c->piece_arg);
    if (c->req->return_token_ids)
        id_list_add(&ch->ids, ev->id);
}

static void take_text(struct choice *ch, const struct event *ev)
{
    if (ev->text_len == 0)
        return;
    buf_put(&ch->text, ev->text, ev->text_len);
    ch->n_chars += utf8_count(ev->text, ev->text_len);
}

static void take_finish(struct completion_response *c, struct part *p, struct choice *ch,
                        const struct event *ev)
{
    ch->done = true;
    ch->reason = ev->reason;
    ch->n_generated = (size_t)ev->n_generated;
    ch->stop_id = ev->stop_id;
    if (ch == &c->choices[(size_t)(p - c->parts) * (size_t)c->req->gen.n])
        p->n_cached = (size_t)ev->n_cached;
    c->failed = c->failed || ev->reason == FINISH_TIMEOUT || ev->reason == FINISH_ERROR;
}

/* ---- writing ------------------------------------------------------------ */

static void put_text(struct completion_response *c, const struct view *v, struct buf *out)
{
    buf_reset(&c->scratch);
    if (v->echo)
        buf_put(&c->scratch, v->part->echo.text, v->part->echo.len);
    if (v->answer)
        buf_put(&c->scratch, v->choice->text.data, v->choice->text.len);
    buf_json_string(out, c->scratch.data ? c->scratch.data : "", c->scratch.len);
    out->failed = out->failed || c->scratch.failed;
}

static void put_probs(const struct completion_response *c, const struct view *v,
                      struct buf *out)
{
    const struct logprobs *a = v->echo ? &v->part->echo.probs : NULL;
    const struct logprobs *b = v->answer ? &v->choice->probs : NULL;
    bool none = (a ? a->n : 0) + (b ? b->n : 0) == 0;
    buf_puts(out, ",\"logprobs\":");
    if (c->req->logprobs < 0 || (c->req->stream && none))
        buf_puts(out, "null");
    else
        logprobs_write(a, b, out);
}

static void put_choice(struct completion_response *c, const struct view *v,
                       struct buf *out)
{
    buf_printf(out, "{\"index\":%zu,\"text\":", v->index);
    put_text(c, v, out);
    put_probs(c, v, out);
    buf_puts(out, ",\"finish_reason\":");
    if (v->last)
        buf_printf(out, "\"%s\"", envelope_reason(v->choice->reason));
    else
        buf_puts(out, "null");
    if (c->req->return_token_ids) {
        if (v->first)
            id_list_put(&v->part->ids, "prompt_token_ids", out);
        id_list_put(v->answer ? &v->choice->ids : NULL, "token_ids", out);
    }
    if (v->last)
        envelope_put_pending(&c->envelope, v->choice->stop_id, out);
    buf_putc(out, '}');
}

static void put_chunk(struct completion_response *c, const struct view *v,
                      struct buf *out)
{
    envelope_begin_chunk(&c->envelope, out);
    put_choice(c, v, out);
    envelope_end_chunk(&c->envelope, out);
    v->choice->opened = true;
}

/* Whether memory ran out for what a choice's text is made of. */
static bool no_memory(const struct part *p, const struct choice *ch)
{
    return p->ids.failed || echo_no_memory(&p->echo) || ch->text.failed ||
           ch->ids.failed || logprobs_no_memory(&ch->probs);
}

/* Writes what a choice has gathered, an echoed prompt as a chunk of its own first. */
static void flush(struct completion_response *c, size_t index, struct buf *out)
{
    struct choice *ch = &c->choices[index];
    struct view v = {.part = &c->parts[index / (size_t)c->req->gen.n],
                     .choice = ch,
                     .index = index,
                     .first = !ch->opened};
    if (c->req->echo && !ch->opened) {
        v.echo = true;
        put_chunk(c, &v, out);
        v.echo = v.first = false;
    }
    if (!ch->done && ch->text.len + ch->probs.n + ch->ids.len == 0)
        return;
    v.answer = true;
    v.last = ch->done;
    put_chunk(c, &v, out);
    if (no_memory(v.part, ch))
        out->failed = true;
    buf_reset(&ch->text);
    buf_reset(&ch->ids);
    logprobs_reset(&ch->probs);
}

void completion_response_event(struct completion_response *c, const struct event *ev,
                               struct buf *out)
{
    if (ev->choice < 0 || (size_t)ev->choice >= c->n_choices)
        return;
    struct choice *ch = &c->choices[ev->choice];
    struct part *p = &c->parts[ev->choice / c->req->gen.n];
    if (ch->done || ev->kind == EVENT_START || ev->kind == EVENT_LOAD)
        return;
    if (ev->kind == EVENT_PROMPT) {
        if (c->req->echo && c->req->logprobs >= 0)
            echo_put(&p->echo, ev, c->piece, c->piece_arg);
        return;
    }
    if (ev->kind == EVENT_TOKEN)
        take_token(c, p, ch, ev);
    take_text(ch, ev);
    if (ev->kind == EVENT_FINISH)
        take_finish(c, p, ch, ev);
    if (c->req->stream && !c->failed && !c->envelope.ended)
        flush(c, (size_t)ev->choice, out);
}

void completion_response_pending(struct completion_response *c, const struct buf *text,
                                 const int32_t *ids, size_t n)
{
    envelope_pending(&c->envelope, text, ids, n);
}

void completion_response_states(struct completion_response *c,
                                const struct states_result *states)
{
    c->envelope.states = *states;
}

static struct envelope_usage usage_of(const struct completion_response *c)
{
    struct envelope_usage u = {0}; /* each prompt once, every candidate */
    for (size_t i = 0; i < c->n_parts; i++) {
        u.prompt += c->parts[i].n_tokens;
        u.cached += c->parts[i].n_cached;
    }
    for (size_t i = 0; i < c->n_choices; i++)
        u.generated += c->choices[i].n_generated;
    return u;
}

/* A candidate's mean log-probability; one without tokens is the worst. */
static double score(const struct choice *ch)
{
    return ch->n_summed ? ch->sum / (double)ch->n_summed : -INFINITY;
}

/* The best of the n candidates from `first` that is not taken; ties: the earlier one. */
static size_t best(const struct completion_response *c, size_t first, size_t n,
                   const bool *taken)
{
    size_t found = n;
    for (size_t i = 0; i < n; i++)
        if (!taken[i] && (found == n || score(&c->choices[first + i]) >
                                            score(&c->choices[first + found])))
            found = i;
    return found;
}

/* The choices of one prompt: all in order, or the best n of best_of, the best first. */
static void put_part(struct completion_response *c, size_t part, struct buf *out)
{
    bool taken[API_MAX_N] = {false};
    size_t n = (size_t)c->req->n, all = (size_t)c->req->gen.n;
    for (size_t i = 0; i < n; i++) {
        size_t k = n < all ? best(c, part * all, all, taken) : i;
        taken[k] = true;
        struct view v = {.part = &c->parts[part],
                         .choice = &c->choices[part * all + k],
                         .index = part * n + i,
                         .echo = c->req->echo,
                         .answer = true,
                         .first = true,
                         .last = true};
        if (part + i > 0)
            buf_putc(out, ',');
        put_choice(c, &v, out);
        if (no_memory(v.part, v.choice))
            out->failed = true;
    }
}

void completion_response_close(struct completion_response *c, struct buf *out)
{
    struct envelope_usage usage = usage_of(c);
    if (c->envelope.ended)
        return;
    if (!c->req->stream)
        envelope_begin(&c->envelope, out);
    for (size_t i = 0; !c->req->stream && i < c->n_parts; i++)
        put_part(c, i, out);
    envelope_close(&c->envelope, &usage, out);
}

void completion_response_error(struct completion_response *c, const struct err *err,
                               struct buf *out)
{
    envelope_error(&c->envelope, err, out);
}
