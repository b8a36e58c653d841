/* The object around the choices.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/envelope.h"

#include "api/id_list.h"
#include "api/problem.h"
#include "api/sse.h"

#include <inttypes.h>
#include <string.h>

void envelope_open(struct envelope *e, const struct envelope_head *head)
{
    struct buf *b = &e->head;
    e->stream = head->stream;
    e->include_usage = head->include_usage;
    buf_puts(b, "{\"id\":");
    buf_json_string(b, head->id, strlen(head->id));
    buf_printf(b, ",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":", head->object,
               head->created);
    buf_json_string(b, head->model, strlen(head->model));
    buf_printf(b, ",\"seed\":%" PRId64 ",%s\"choices\":[", (int64_t)head->seed,
               head->more);
}

void envelope_free(struct envelope *e)
{
    buf_free(&e->head);
    buf_free(&e->pending);
}

void envelope_pending(struct envelope *e, const struct buf *text, const int32_t *ids,
                      size_t n)
{
    struct buf *out = &e->pending, list = {0};
    id_list_add_all(&list, ids, n);
    buf_puts(out, "{\"text\":");
    buf_json_string(out, text->data ? text->data : "", text->len);
    id_list_put(&list, "token_ids", out);
    buf_putc(out, '}');
    out->failed = out->failed || text->failed;
    buf_free(&list);
}

void envelope_put_pending(const struct envelope *e, int32_t stop_id, struct buf *out)
{
    if (e->pending.len == 0 && !e->pending.failed)
        return;
    if (stop_id >= 0)
        buf_printf(out, ",\"stop_token_id\":%" PRId32, stop_id);
    else
        buf_puts(out, ",\"stop_token_id\":null");
    buf_puts(out, ",\"pending\":");
    buf_put(out, e->pending.data, e->pending.len);
    out->failed = out->failed || e->pending.failed;
}

void envelope_begin(const struct envelope *e, struct buf *out)
{
    buf_put(out, e->head.data, e->head.len);
}

void envelope_begin_chunk(const struct envelope *e, struct buf *out)
{
    sse_begin(out);
    envelope_begin(e, out);
}

void envelope_end_chunk(const struct envelope *e, struct buf *out)
{
    buf_puts(out, e->include_usage ? "],\"usage\":null}" : "]}");
    sse_end(out);
}

static void put_usage(const struct envelope_usage *u, struct buf *out)
{
    buf_printf(out,
               ",\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%zu"
               ",\"total_tokens\":%zu"
               ",\"prompt_tokens_details\":{\"cached_tokens\":%zu}",
               u->prompt, u->generated, u->prompt + u->generated, u->cached);
    if (u->reasoning)
        buf_printf(out, ",\"completion_tokens_details\":{\"reasoning_tokens\":%zu}",
                   *u->reasoning);
    buf_putc(out, '}');
}

static bool has_states(const struct envelope *e)
{
    return e->states.loaded || e->states.saved || e->states.fault;
}

/* What follows the choices; NULL: no usage. */
static void put_tail(const struct envelope *e, const struct envelope_usage *usage,
                     struct buf *out)
{
    buf_putc(out, ']');
    if (usage)
        put_usage(usage, out);
    if (has_states(e)) {
        buf_puts(out, ",\"state\":");
        states_put_result(&e->states, out);
    }
    buf_putc(out, '}');
}

static void close_stream(const struct envelope *e, const struct envelope_usage *usage,
                         struct buf *out)
{
    if (e->include_usage || has_states(e)) {
        envelope_begin_chunk(e, out);
        put_tail(e, e->include_usage ? usage : NULL, out);
        sse_end(out);
    }
    sse_done(out);
}

void envelope_close(struct envelope *e, const struct envelope_usage *usage,
                    struct buf *out)
{
    if (e->stream)
        close_stream(e, usage, out);
    else
        put_tail(e, usage, out);
    e->ended = true;
}

void envelope_error(struct envelope *e, const struct err *err, struct buf *out)
{
    if (e->ended)
        return;
    sse_begin(out);
    problem_body(err, out);
    sse_end(out);
    e->ended = true;
}

const char *envelope_reason(enum finish_reason reason)
{
    static const char *const names[FINISH_N] = {
        [FINISH_STOP] = "stop",     [FINISH_LENGTH] = "length", [FINISH_ABORT] = "abort",
        [FINISH_TIMEOUT] = "abort", [FINISH_ERROR] = "abort",   [FINISH_DRAIN] = "abort",
    };
    return names[reason];
}
