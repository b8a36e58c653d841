/* The writer of chat answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_response.h"

#include "api/chat_logprobs.h"
#include "api/envelope.h"
#include "api/id_list.h"
#include "engine/base/mem.h"

#include <string.h>

struct choice {
    struct chat_answer answer;
    struct chat_response *response;
    size_t index;
    /* Gathered, not yet written. */
    struct buf reasoning, content;
    struct buf calls; /* elements of a JSON array */
    struct buf ids;   /* an id_list */
    struct buf probs; /* of chat_logprobs */
    bool opened;      /* its first chunk is written */
};

struct chat_response {
    const struct chat_request *req; /* borrows */
    api_piece_fn *piece;
    void *piece_arg;
    struct choice *choices; /* owns, [n_choices] */
    size_t n_choices;
    size_t n_prompt;
    uint64_t prompt;       /* for the ids of calls */
    struct buf prompt_ids; /* an id_list */
    struct envelope envelope;
    bool failed;
};

/* ---- what the parser passes on ---------------------------------------------- */

static void take_text(void *arg, enum answer_part part, const char *s, size_t len)
{
    struct choice *ch = arg;
    buf_put(part == ANSWER_REASONING ? &ch->reasoning : &ch->content, s, len);
}

static void take_call(void *arg, const struct answer_call *call)
{
    struct choice *ch = arg;
    struct buf *b = &ch->calls;
    size_t index = ch->answer.n_calls - 1;
    char id[CHAT_ANSWER_ID];
    chat_answer_call_id(ch->response->prompt, ch->index, index, id);
    buf_puts(b, b->len ? ",{" : "{");
    if (ch->response->req->stream)
        buf_printf(b, "\"index\":%zu,", index);
    buf_printf(b, "\"id\":\"%s\",\"type\":\"function\",\"function\":{\"name\":", id);
    buf_json_string(b, call->name, call->name_len);
    buf_puts(b, ",\"arguments\":");
    buf_json_string(b, call->arguments, call->arguments_len);
    buf_puts(b, "}}");
}

/* ---- open and free ---------------------------------------------------------- */

static void open_envelope(struct chat_response *c, const struct chat_answer_head *head)
{
    bool stream = c->req->stream;
    struct envelope_head h = {.id = head->id,
                              .object =
                                  stream ? "chat.completion.chunk" : "chat.completion",
                              .model = head->model,
                              .created = head->created,
                              .seed = c->req->gen.seed,
                              .more = "\"system_fingerprint\":null,",
                              .stream = stream,
                              .include_usage = c->req->include_usage};
    envelope_open(&c->envelope, &h);
}

static int open_choices(struct chat_response *c, const struct chat_answer_head *head,
                        struct err *err)
{
    struct answer_options o = head->answer;
    for (size_t i = 0; i < c->n_choices; i++) {
        struct choice *ch = &c->choices[i];
        ch->response = c;
        ch->index = i;
        o.sink = (struct answer_sink){.text = take_text, .call = take_call, .arg = ch};
        int rc = chat_answer_open(&ch->answer, &o, c->piece, c->piece_arg, err);
        if (rc)
            return rc;
    }
    return 0;
}

int chat_response_open(struct chat_response **out, const struct chat_request *req,
                       const struct chat_answer_head *head, struct err *err)
{
    if (req->gen.n > API_MAX_N)
        return err_set(err, ERR_ARGUMENT, "%d choices of a prompt, at most %d",
                       req->gen.n, API_MAX_N);
    struct chat_response *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return err_set(err, ERR_MEMORY, "out of memory for an answer");
    c->req = req;
    c->piece = head->piece;
    c->piece_arg = head->piece_arg;
    c->choices = mem_zalloc((size_t)req->gen.n, sizeof *c->choices);
    c->n_choices = c->choices ? (size_t)req->gen.n : 0;
    open_envelope(c, head);
    int rc = open_choices(c, head, err);
    if (rc == 0 && (!c->choices || c->envelope.head.failed))
        rc = err_set(err, ERR_MEMORY, "out of memory for %d choices", req->gen.n);
    if (rc) {
        chat_response_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

static void free_choice(struct choice *ch)
{
    chat_answer_free(&ch->answer);
    buf_free(&ch->reasoning);
    buf_free(&ch->content);
    buf_free(&ch->calls);
    buf_free(&ch->ids);
    buf_free(&ch->probs);
}

void chat_response_free(struct chat_response *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_choices; i++)
        free_choice(&c->choices[i]);
    mem_free(c->choices);
    buf_free(&c->prompt_ids);
    envelope_free(&c->envelope);
    mem_free(c);
}

void chat_response_prompt(struct chat_response *c, const int32_t *ids, size_t n)
{
    c->n_prompt = n;
    c->prompt = chat_answer_prompt(ids, n);
    if (c->req->return_token_ids)
        id_list_add_all(&c->prompt_ids, ids, n);
}

/* ---- writing ---------------------------------------------------------------- */

/* Whether memory ran out for what a choice is made of. */
static bool no_memory(const struct choice *ch)
{
    return ch->reasoning.failed || ch->content.failed || ch->calls.failed ||
           chat_answer_no_memory(&ch->answer);
}

/* "name": of the next member, with a comma unless it is the first. */
static void put_name(const char *name, struct buf *out)
{
    if (out->len && out->data[out->len - 1] != '{')
        buf_putc(out, ',');
    buf_printf(out, "\"%s\":", name);
}

static void put_text(const char *name, const struct buf *text, struct buf *out)
{
    put_name(name, out);
    buf_json_string(out, text->data ? text->data : "", text->len);
}

static void put_calls(const struct choice *ch, struct buf *out)
{
    put_name("tool_calls", out);
    buf_putc(out, '[');
    buf_put(out, ch->calls.data, ch->calls.len);
    buf_putc(out, ']');
}

static void put_message(const struct choice *ch, struct buf *out)
{
    buf_puts(out, "\"message\":{\"role\":\"assistant\"");
    if (ch->content.len == 0 && ch->calls.len > 0)
        buf_puts(out, ",\"content\":null");
    else
        put_text("content", &ch->content, out);
    if (ch->reasoning.len)
        put_text("reasoning_content", &ch->reasoning, out);
    if (ch->calls.len)
        put_calls(ch, out);
    buf_puts(out, ",\"refusal\":null}");
}

static void put_role(const struct choice *ch, struct buf *out)
{
    (void)ch;
    buf_puts(out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}");
}

static void put_delta(const struct choice *ch, struct buf *out)
{
    buf_puts(out, "\"delta\":{");
    if (ch->reasoning.len)
        put_text("reasoning_content", &ch->reasoning, out);
    if (ch->content.len)
        put_text("content", &ch->content, out);
    if (ch->calls.len)
        put_calls(ch, out);
    buf_putc(out, '}');
}

/* An element of `choices`: all of it, or one of a stream's chunks. */
struct view {
    void (*put)(const struct choice *ch, struct buf *out);
    bool first;    /* the prompt's ids */
    bool gathered; /* log-probabilities and ids of the answer */
    bool last;     /* the reason */
};

static const struct view whole_view = {put_message, true, true, true};
static const struct view role_view = {put_role, true, false, false};
static const struct view delta_view = {put_delta, false, true, false};
static const struct view last_view = {put_delta, false, true, true};

static void put_probs(const struct choice *ch, const struct view *v, struct buf *out)
{
    const struct chat_request *req = ch->response->req;
    bool some = v->gathered && (ch->probs.len || ch->probs.failed);
    buf_puts(out, ",\"logprobs\":");
    if (req->logprobs >= 0 && (some || !req->stream))
        chat_logprobs_put(&ch->probs, out);
    else
        buf_puts(out, "null");
}

static void put_choice(const struct choice *ch, const struct view *v, struct buf *out)
{
    const struct chat_response *c = ch->response;
    buf_printf(out, "{\"index\":%zu,", ch->index);
    v->put(ch, out);
    put_probs(ch, v, out);
    buf_puts(out, ",\"finish_reason\":");
    if (v->last)
        buf_printf(out, "\"%s\"", chat_answer_finish(&ch->answer));
    else
        buf_puts(out, "null");
    if (c->req->return_token_ids) {
        if (v->first)
            id_list_put(&c->prompt_ids, "prompt_token_ids", out);
        id_list_put(v->gathered ? &ch->ids : NULL, "token_ids", out);
    }
    if (v->last)
        envelope_put_pending(&c->envelope, ch->answer.stop_id, out);
    buf_putc(out, '}');
    out->failed = out->failed || no_memory(ch);
}

static void put_chunk(struct choice *ch, const struct view *v, struct buf *out)
{
    envelope_begin_chunk(&ch->response->envelope, out);
    put_choice(ch, v, out);
    envelope_end_chunk(&ch->response->envelope, out);
    if (!v->gathered)
        return;
    buf_reset(&ch->reasoning);
    buf_reset(&ch->content);
    buf_reset(&ch->calls);
    buf_reset(&ch->ids);
    buf_reset(&ch->probs);
}

static void flush(struct choice *ch, struct buf *out)
{
    if (!ch->opened)
        put_chunk(ch, &role_view, out);
    ch->opened = true;
    if (ch->reasoning.len + ch->content.len + ch->calls.len > 0 || no_memory(ch))
        put_chunk(ch, &delta_view, out);
    if (ch->answer.done)
        put_chunk(ch, &last_view, out);
}

void chat_response_event(struct chat_response *c, const struct event *ev, struct buf *out)
{
    bool end = ev->kind == EVENT_FINISH;
    if (ev->choice < 0 || (size_t)ev->choice >= c->n_choices)
        return;
    struct choice *ch = &c->choices[ev->choice];
    if (ch->answer.done || (ev->kind != EVENT_TOKEN && !end))
        return;
    if (!end && c->req->logprobs >= 0)
        chat_logprobs_add(&ch->probs, ev, c->piece, c->piece_arg);
    if (!end && c->req->return_token_ids)
        id_list_add(&ch->ids, ev->id);
    chat_answer_event(&ch->answer, ev);
    if (end && (ev->reason == FINISH_TIMEOUT || ev->reason == FINISH_ERROR))
        c->failed = true;
    if (c->req->stream && !c->failed && !c->envelope.ended)
        flush(ch, out);
}

void chat_response_pending(struct chat_response *c, const struct buf *text,
                           const int32_t *ids, size_t n)
{
    envelope_pending(&c->envelope, text, ids, n);
}

void chat_response_states(struct chat_response *c, const struct states_result *states)
{
    c->envelope.states = *states;
}

size_t chat_response_reasoning(const struct chat_response *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_choices; i++)
        n += c->choices[i].answer.n_reasoning;
    return n;
}

size_t chat_response_failures(const struct chat_response *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_choices; i++)
        n += chat_answer_failures(&c->choices[i].answer);
    return n;
}

static size_t generated(const struct chat_response *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_choices; i++)
        n += c->choices[i].answer.n_generated;
    return n;
}

void chat_response_close(struct chat_response *c, struct buf *out)
{
    size_t reasoning = chat_response_reasoning(c);
    struct envelope_usage usage = {.prompt = c->n_prompt,
                                   .cached = c->choices[0].answer.n_cached,
                                   .generated = generated(c),
                                   .reasoning = &reasoning};
    if (c->envelope.ended)
        return;
    if (!c->req->stream)
        envelope_begin(&c->envelope, out);
    for (size_t i = 0; !c->req->stream && i < c->n_choices; i++) {
        if (i)
            buf_putc(out, ',');
        put_choice(&c->choices[i], &whole_view, out);
    }
    envelope_close(&c->envelope, &usage, out);
}

void chat_response_error(struct chat_response *c, const struct err *err, struct buf *out)
{
    envelope_error(&c->envelope, err, out);
}
