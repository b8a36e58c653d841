/* The writer of responses. What only a stream shows goes through begin_event, which has
 * nothing to write to in a whole answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/responses_response.h"

#include "api/problem.h"
#include "api/responses_output.h"
#include "api/sse.h"
#include "engine/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct responses_response {
    const struct responses_request *req; /* borrows */
    struct chat_answer answer;
    uint64_t prompt; /* chat_answer_prompt */
    struct buf head; /* the id and its NUL; then the object up to its status */
    size_t head_at;  /* where the object begins in it */
    struct responses_output open; /* the item whose text comes */
    struct buf items;             /* those that have ended, JSON without brackets */
    size_t n_items, n_events;
    struct buf *out; /* of the call under way */
    bool begun, ended;
};

/* How an answer ends. */
struct outcome {
    const char *status, *event;
    const struct err *fault;
};

/* ---- the object ------------------------------------------------------------- */

static void put_string(struct buf *out, const char *s)
{
    buf_json_string(out, s, strlen(s));
}

/* The AI SDK wants a code that is a text. */
static void put_fault(const struct err *err, struct buf *out)
{
    const struct problem *p = problem_of(err->code);
    buf_puts(out, "{\"code\":");
    put_string(out, p->code ? p->code : p->type);
    buf_puts(out, ",\"message\":");
    put_string(out, p->message ? p->message : err->text);
    buf_puts(out, ",\"type\":");
    put_string(out, p->type);
    buf_puts(out, ",\"param\":null}");
}

static void put_buf(struct buf *out, const struct buf *b)
{
    buf_json_string(out, b->data ? b->data : "", b->len);
    out->failed = out->failed || b->failed;
}

static void put_usage(const struct chat_answer *a, struct buf *out)
{
    buf_printf(
        out,
        "{\"input_tokens\":%zu,\"input_tokens_details\":{\"cached_tokens\":%zu},"
        "\"output_tokens\":%zu,\"output_tokens_details\":{\"reasoning_tokens\":%zu}"
        ",\"total_tokens\":%zu}",
        a->n_prompt, a->n_cached, a->n_generated, a->n_reasoning,
        a->n_prompt + a->n_generated);
}

static void put_response(const struct responses_response *c, const struct outcome *o,
                         struct buf *out)
{
    bool cut = strcmp(o->status, "incomplete") == 0;
    buf_puts(out, c->head.data + c->head_at);
    buf_printf(out, "\"%s\",\"error\":", o->status);
    if (o->fault)
        put_fault(o->fault, out);
    else
        buf_puts(out, "null");
    buf_printf(out, ",\"incomplete_details\":%s,\"output\":[",
               cut ? "{\"reason\":\"max_output_tokens\"}" : "null");
    buf_put(out, c->items.data, c->items.len);
    buf_puts(out, "],\"usage\":");
    if (c->answer.done)
        put_usage(&c->answer, out);
    else
        buf_puts(out, "null");
    buf_putc(out, ',');
    buf_puts(out, c->req->settings);
    buf_putc(out, '}');
    out->failed = out->failed || c->items.failed;
}

/* ---- events ----------------------------------------------------------------- */

/* Where to write one; NULL: there is no stream. */
static struct buf *begin_event(struct responses_response *c, const char *type)
{
    if (!c->req->chat.stream)
        return NULL;
    sse_begin_event(c->out, type);
    buf_printf(c->out, "{\"type\":\"%s\",\"sequence_number\":%zu", type, c->n_events++);
    return c->out;
}

static void end_event(struct buf *out)
{
    buf_putc(out, '}');
    sse_end(out);
}

static void tell_response(struct responses_response *c, const struct outcome *o)
{
    struct buf *out = begin_event(c, o->event);
    if (!out)
        return;
    buf_puts(out, ",\"response\":");
    put_response(c, o, out);
    end_event(out);
}

static void tell_item(struct responses_response *c, const char *type, const char *status,
                      bool done)
{
    struct buf *out = begin_event(c, type);
    if (!out)
        return;
    buf_printf(out, ",\"output_index\":%zu,\"item\":", c->n_items);
    responses_output_put(&c->open, status, done, out);
    end_event(out);
}

/* A run of events on one text of the open item. */
struct run {
    const char *events; /* their types without the last step */
    const char *place;  /* "content_index", "summary_index"; NULL: it has no parts */
    const char *part;   /* the part's type */
};

/* The beginning of one; step: "delta", "done" and so on. */
static struct buf *begin_inside(struct responses_response *c, const struct run *run,
                                const char *events, const char *step)
{
    char type[64];
    snprintf(type, sizeof type, "%s.%s", events, step);
    struct buf *out = begin_event(c, type);
    if (!out)
        return NULL;
    buf_puts(out, ",\"item_id\":");
    responses_output_put_id(&c->open, out);
    buf_printf(out, ",\"output_index\":%zu", c->n_items);
    if (run->place)
        buf_printf(out, ",\"%s\":0", run->place);
    return out;
}

/* What every event on a message's text has. */
static void end_inside(const struct responses_response *c, struct buf *out)
{
    if (c->open.kind == RESPONSES_MESSAGE)
        buf_puts(out, ",\"logprobs\":[]");
    end_event(out);
}

static void tell_delta(struct responses_response *c, const struct run *run, const char *s,
                       size_t len)
{
    struct buf *out = begin_inside(c, run, run->events, "delta");
    if (!out)
        return;
    buf_puts(out, ",\"delta\":");
    buf_json_string(out, s, len);
    end_inside(c, out);
}

static void tell_done(struct responses_response *c, const struct run *run)
{
    struct buf *out = begin_inside(c, run, run->events, "done");
    if (!out)
        return;
    if (c->open.kind == RESPONSES_CALL) {
        buf_puts(out, ",\"name\":");
        put_buf(out, &c->open.name);
    }
    buf_puts(out, c->open.kind == RESPONSES_CALL ? ",\"arguments\":" : ",\"text\":");
    put_buf(out, &c->open.text);
    end_inside(c, out);
}

static void tell_part(struct responses_response *c, const struct run *run,
                      const char *events, const char *step)
{
    struct buf *out = begin_inside(c, run, events, step);
    if (!out)
        return;
    buf_puts(out, ",\"part\":");
    responses_output_put_part(&c->open, run->part, out);
    end_event(out);
}

/* ---- items ------------------------------------------------------------------ */

static const char part_events[] = "response.content_part";
static const char summary_part_events[] = "response.reasoning_summary_part";
static const struct run summary_run = {"response.reasoning_summary_text", "summary_index",
                                       "summary_text"};

static struct run run_of(const struct responses_output *o)
{
    const char *part = responses_output_part(o);
    return (struct run){responses_output_events(o), part ? "content_index" : NULL, part};
}

static void open_item(struct responses_response *c, enum responses_output_kind kind)
{
    c->open.kind = kind;
    c->open.index = c->n_items;
    buf_reset(&c->open.text);
    struct run run = run_of(&c->open);
    tell_item(c, "response.output_item.added", "in_progress", false);
    if (run.part)
        tell_part(c, &run, part_events, "added");
    if (responses_output_summed(&c->open))
        tell_part(c, &summary_run, summary_part_events, "added");
}

static void add_text(struct responses_response *c, const char *s, size_t len)
{
    struct run run = run_of(&c->open);
    buf_put(&c->open.text, s, len);
    tell_delta(c, &run, s, len);
    if (responses_output_summed(&c->open))
        tell_delta(c, &summary_run, s, len);
}

static void close_item(struct responses_response *c, const char *status)
{
    if (c->open.kind == RESPONSES_NONE)
        return;
    struct run run = run_of(&c->open);
    tell_done(c, &run);
    if (run.part)
        tell_part(c, &run, part_events, "done");
    if (responses_output_summed(&c->open)) {
        tell_done(c, &summary_run);
        tell_part(c, &summary_run, summary_part_events, "done");
    }
    tell_item(c, "response.output_item.done", status, true);
    if (c->n_items++)
        buf_putc(&c->items, ',');
    responses_output_put(&c->open, status, true, &c->items);
    c->open.kind = RESPONSES_NONE;
}

/* The sink of the answer's parts. */
static void take_text(void *arg, enum answer_part part, const char *s, size_t len)
{
    struct responses_response *c = arg;
    enum responses_output_kind kind =
        part == ANSWER_REASONING ? RESPONSES_REASONING : RESPONSES_MESSAGE;
    if (len == 0)
        return;
    if (c->open.kind != kind) {
        close_item(c, "completed");
        open_item(c, kind);
    }
    add_text(c, s, len);
}

static void take_call(void *arg, const struct answer_call *call)
{
    struct responses_response *c = arg;
    close_item(c, "completed");
    buf_reset(&c->open.name);
    buf_put(&c->open.name, call->name, call->name_len);
    chat_answer_call_id(c->prompt, 0, c->answer.n_calls - 1, c->open.call_id);
    open_item(c, RESPONSES_CALL);
    add_text(c, call->arguments, call->arguments_len);
    close_item(c, "completed");
}

/* ---- the answer ------------------------------------------------------------- */

static void put_head(struct responses_response *c, const struct chat_answer_head *head)
{
    struct buf *b = &c->head;
    buf_put(b, head->id, strlen(head->id) + 1);
    c->head_at = b->len;
    buf_puts(b, "{\"id\":");
    put_string(b, head->id);
    buf_printf(b, ",\"object\":\"response\",\"created_at\":%" PRId64 ",\"model\":",
               head->created);
    put_string(b, head->model);
    buf_printf(b, ",\"seed\":%" PRId64 ",\"status\":", (int64_t)c->req->chat.gen.seed);
}

int responses_response_open(struct responses_response **out,
                            const struct responses_request *req,
                            const struct chat_answer_head *head, struct err *err)
{
    struct responses_response *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return err_set(err, ERR_MEMORY, "out of memory for an answer");
    struct answer_options o = head->answer;
    o.sink = (struct answer_sink){.text = take_text, .call = take_call, .arg = c};
    c->req = req;
    put_head(c, head);
    int rc = c->head.failed
                 ? err_set(err, ERR_MEMORY, "out of memory for an answer")
                 : chat_answer_open(&c->answer, &o, head->piece, head->piece_arg, err);
    if (rc) {
        responses_response_free(c);
        return rc;
    }
    const char *line = strchr(c->head.data, '_');
    c->open.hex = line ? line + 1 : c->head.data;
    c->open.summary = req->summary;
    c->open.encrypted = req->encrypted;
    *out = c;
    return 0;
}

void responses_response_free(struct responses_response *c)
{
    if (!c)
        return;
    chat_answer_free(&c->answer);
    buf_free(&c->head);
    buf_free(&c->items);
    responses_output_free(&c->open);
    mem_free(c);
}

void responses_response_prompt(struct responses_response *c, const int32_t *ids, size_t n)
{
    c->prompt = chat_answer_prompt(ids, n);
}

static void begin(struct responses_response *c, struct buf *out)
{
    static const struct outcome created = {"in_progress", "response.created", NULL};
    static const struct outcome running = {"in_progress", "response.in_progress", NULL};
    c->out = out;
    if (c->begun)
        return;
    c->begun = true;
    tell_response(c, &created);
    tell_response(c, &running);
}

void responses_response_event(struct responses_response *c, const struct event *ev,
                              struct buf *out)
{
    if (c->ended || ev->choice != 0)
        return;
    begin(c, out);
    chat_answer_event(&c->answer, ev);
    if (chat_answer_no_memory(&c->answer) || c->items.failed || c->open.text.failed)
        out->failed = true;
}

static struct outcome outcome_of(const struct chat_answer *a, struct err *cut)
{
    if (a->reason == FINISH_STOP)
        return (struct outcome){"completed", "response.completed", NULL};
    if (a->reason == FINISH_LENGTH)
        return (struct outcome){"incomplete", "response.incomplete", NULL};
    err_set(cut, ERR_UNAVAILABLE, "the answer was cut short");
    return (struct outcome){"failed", "response.failed", cut};
}

/* An answer without a word is an empty message. */
static void finish(struct responses_response *c, const struct outcome *o, struct buf *out)
{
    bool whole = strcmp(o->status, "completed") == 0;
    begin(c, out);
    if (!o->fault && c->open.kind == RESPONSES_NONE && c->n_items == 0)
        open_item(c, RESPONSES_MESSAGE);
    close_item(c, whole ? "completed" : "incomplete");
    if (c->req->chat.stream)
        tell_response(c, o);
    else
        put_response(c, o, out);
    c->ended = true;
}

void responses_response_close(struct responses_response *c, struct buf *out)
{
    struct err cut;
    struct outcome o = outcome_of(&c->answer, &cut);
    if (!c->ended)
        finish(c, &o, out);
}

void responses_response_error(struct responses_response *c, const struct err *err,
                              struct buf *out)
{
    struct outcome o = {"failed", "response.failed", err};
    if (!c->ended)
        finish(c, &o, out);
}

const struct chat_answer *responses_response_answer(const struct responses_response *c)
{
    return &c->answer;
}
