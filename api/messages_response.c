/* The writer of messages. What only a stream shows goes through begin_event, which has
 * nothing to write to in a whole answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/messages_response.h"

#include "api/base64.h"
#include "api/messages_input.h"
#include "api/problem.h"
#include "api/sse.h"
#include "engine/base/mem.h"

#include <inttypes.h>
#include <string.h>

enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING };

/* Blocks of text: their type, which also is the member that holds the text. */
static const char *const block_types[] = {
    [BLOCK_TEXT] = "text", [BLOCK_THINKING] = "thinking"};

struct messages_response {
    const struct messages_request *req; /* borrows */
    struct chat_answer answer;
    uint64_t prompt; /* chat_answer_prompt */
    size_t n_prompt, n_cached;
    struct buf head;   /* the object up to its content */
    struct buf blocks; /* that have ended, JSON without brackets; of a whole answer */
    struct buf text;   /* of the open block */
    enum block open;
    size_t n_blocks;
    int stop_string; /* the index of the one that ended the answer, or -1 */
    struct buf *out; /* of the call under way */
    bool begun, ended;
};

/* ---- blocks ------------------------------------------------------------------- */

static bool omits(const struct messages_response *c)
{
    return c->open == BLOCK_THINKING && c->req->omit_thinking;
}

/* It verifies nothing: clients drop reasoning without one. */
static void put_signature(const struct messages_response *c, struct buf *out)
{
    buf_puts(out, "\"signature\":\"" MESSAGES_INPUT_SIGNATURE);
    if (omits(c))
        base64_put(out, c->text.data ? c->text.data : "", c->text.len);
    buf_putc(out, '"');
}

/* The open block with a text of len bytes and, with a text, its signature. */
static void put_block(const struct messages_response *c, const char *text, size_t len,
                      struct buf *out)
{
    const char *type = block_types[c->open];
    buf_printf(out, "{\"type\":\"%s\",\"%s\":", type, type);
    buf_json_string(out, text, omits(c) ? 0 : len);
    if (c->open == BLOCK_THINKING && len == 0)
        buf_puts(out, ",\"signature\":\"\"");
    else if (c->open == BLOCK_THINKING) {
        buf_putc(out, ',');
        put_signature(c, out);
    }
    buf_putc(out, '}');
}

/* A call up to its input. */
static void put_call(const struct messages_response *c, const struct answer_call *call,
                     struct buf *out)
{
    char id[CHAT_ANSWER_ID];
    chat_answer_call_id(c->prompt, 0, c->answer.n_calls - 1, id);
    buf_printf(out, "{\"type\":\"tool_use\",\"id\":\"%s\",\"name\":", id);
    buf_json_string(out, call->name, call->name_len);
    buf_puts(out, ",\"input\":");
}

/* Where the next block of a whole answer is written. */
static struct buf *next_block(struct messages_response *c)
{
    if (c->n_blocks)
        buf_putc(&c->blocks, ',');
    return &c->blocks;
}

/* ---- events ------------------------------------------------------------------- */

/* Where to write one; NULL: there is no stream. */
static struct buf *begin_event(struct messages_response *c, const char *type)
{
    if (!c->req->chat.stream)
        return NULL;
    sse_begin_event(c->out, type);
    buf_printf(c->out, "{\"type\":\"%s\"", type);
    return c->out;
}

static void end_event(struct buf *out)
{
    buf_putc(out, '}');
    sse_end(out);
}

/* One about the block under way. */
static struct buf *begin_block_event(struct messages_response *c, const char *type)
{
    struct buf *out = begin_event(c, type);
    if (out)
        buf_printf(out, ",\"index\":%zu", c->n_blocks);
    return out;
}

static void tell_stop(struct messages_response *c)
{
    struct buf *out = begin_block_event(c, "content_block_stop");
    if (out)
        end_event(out);
}

/* type: "text", of the delta and its member, or "input_json", whose member is another. */
static void tell_delta(struct messages_response *c, const char *type, const char *member,
                       const char *s, size_t len)
{
    struct buf *out = begin_block_event(c, "content_block_delta");
    if (!out)
        return;
    buf_printf(out, ",\"delta\":{\"type\":\"%s_delta\",\"%s\":", type, member);
    buf_json_string(out, s, len);
    buf_putc(out, '}');
    end_event(out);
}

static void tell_signature(struct messages_response *c)
{
    struct buf *out = begin_block_event(c, "content_block_delta");
    if (!out)
        return;
    buf_puts(out, ",\"delta\":{\"type\":\"signature_delta\",");
    put_signature(c, out);
    buf_putc(out, '}');
    end_event(out);
}

/* ---- the sink of the answer's parts ------------------------------------------- */

static void close_block(struct messages_response *c)
{
    if (c->open == BLOCK_NONE)
        return;
    if (c->open == BLOCK_THINKING)
        tell_signature(c);
    tell_stop(c);
    if (!c->req->chat.stream)
        put_block(c, c->text.data, c->text.len, next_block(c));
    c->n_blocks++;
    c->open = BLOCK_NONE;
}

static void open_block(struct messages_response *c, enum block block)
{
    c->open = block;
    buf_reset(&c->text);
    struct buf *out = begin_block_event(c, "content_block_start");
    if (!out)
        return;
    buf_puts(out, ",\"content_block\":");
    put_block(c, "", 0, out);
    end_event(out);
}

static void take_text(void *arg, enum answer_part part, const char *s, size_t len)
{
    struct messages_response *c = arg;
    enum block block = part == ANSWER_REASONING ? BLOCK_THINKING : BLOCK_TEXT;
    if (len == 0)
        return;
    if (c->open != block) {
        close_block(c);
        open_block(c, block);
    }
    if (!c->req->chat.stream || omits(c))
        buf_put(&c->text, s, len);
    if (!omits(c))
        tell_delta(c, block_types[block], block_types[block], s, len);
}

static void take_call(void *arg, const struct answer_call *call)
{
    struct messages_response *c = arg;
    close_block(c);
    struct buf *out = begin_block_event(c, "content_block_start");
    if (out) {
        buf_puts(out, ",\"content_block\":");
        put_call(c, call, out);
        buf_puts(out, "{}}");
        end_event(out);
        tell_delta(c, "input_json", "partial_json", call->arguments, call->arguments_len);
        tell_stop(c);
    } else {
        out = next_block(c);
        put_call(c, call, out);
        buf_put(out, call->arguments, call->arguments_len);
        buf_putc(out, '}');
    }
    c->n_blocks++;
}

/* ---- the object --------------------------------------------------------------- */

static void put_head(struct messages_response *c, const struct chat_answer_head *head)
{
    struct buf *b = &c->head;
    buf_puts(b, "{\"id\":");
    buf_json_string(b, head->id, strlen(head->id));
    buf_puts(b, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    buf_json_string(b, head->model, strlen(head->model));
    buf_printf(b, ",\"seed\":%" PRId64 ",\"content\":[", (int64_t)c->req->chat.gen.seed);
}

/* Members, without braces; before the end both are null. */
static void put_stop(const struct messages_response *c, struct buf *out)
{
    const struct gen_params *gen = &c->req->chat.gen;
    const struct chat_answer *a = &c->answer;
    const char *reason = NULL;
    bool calls = a->n_calls > 0;
    bool matched = a->done && a->reason == FINISH_STOP && !calls && c->stop_string >= 0;
    if (a->done && a->reason == FINISH_LENGTH)
        reason = "max_tokens";
    else if (a->done && a->reason == FINISH_STOP)
        reason = calls ? "tool_use" : matched ? "stop_sequence" : "end_turn";
    if (reason)
        buf_printf(out, "\"stop_reason\":\"%s\",\"stop_sequence\":", reason);
    else
        buf_puts(out, "\"stop_reason\":null,\"stop_sequence\":");
    if (matched)
        buf_json_string(out, gen->stops[c->stop_string], gen->stop_lens[c->stop_string]);
    else
        buf_puts(out, "null");
}

static void put_usage(const struct messages_response *c, struct buf *out)
{
    buf_printf(out,
               ",\"usage\":{\"input_tokens\":%zu,\"cache_creation_input_tokens\":0,"
               "\"cache_read_input_tokens\":%zu,\"output_tokens\":%zu,"
               "\"output_tokens_details\":{\"thinking_tokens\":%zu}}",
               c->n_prompt - c->n_cached, c->n_cached, c->answer.n_generated,
               c->answer.n_reasoning);
}

static void put_message(const struct messages_response *c, struct buf *out)
{
    buf_put(out, c->head.data, c->head.len);
    buf_put(out, c->blocks.data, c->blocks.len);
    buf_puts(out, "],");
    put_stop(c, out);
    put_usage(c, out);
    buf_putc(out, '}');
    out->failed = out->failed || c->blocks.failed;
}

/* ---- the answer --------------------------------------------------------------- */

int messages_response_open(struct messages_response **out,
                           const struct messages_request *req,
                           const struct chat_answer_head *head, struct err *err)
{
    struct messages_response *c = mem_zalloc(1, sizeof *c);
    if (!c)
        return err_set(err, ERR_MEMORY, "out of memory for an answer");
    struct answer_options o = head->answer;
    o.sink = (struct answer_sink){.text = take_text, .call = take_call, .arg = c};
    c->req = req;
    c->stop_string = -1;
    put_head(c, head);
    int rc = c->head.failed
                 ? err_set(err, ERR_MEMORY, "out of memory for an answer")
                 : chat_answer_open(&c->answer, &o, head->piece, head->piece_arg, err);
    if (rc) {
        messages_response_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void messages_response_free(struct messages_response *c)
{
    if (!c)
        return;
    chat_answer_free(&c->answer);
    buf_free(&c->head);
    buf_free(&c->blocks);
    buf_free(&c->text);
    mem_free(c);
}

void messages_response_prompt(struct messages_response *c, const int32_t *ids, size_t n)
{
    c->prompt = chat_answer_prompt(ids, n);
    c->n_prompt = n;
}

static void begin(struct messages_response *c, struct buf *out)
{
    c->out = out;
    if (c->begun)
        return;
    c->begun = true;
    struct buf *to = begin_event(c, "message_start");
    if (!to)
        return;
    buf_puts(to, ",\"message\":");
    put_message(c, to);
    end_event(to);
}

void messages_response_event(struct messages_response *c, const struct event *ev,
                             struct buf *out)
{
    if (c->ended || ev->choice != 0)
        return;
    if (ev->kind == EVENT_START || ev->kind == EVENT_FINISH)
        c->n_cached = (size_t)ev->n_cached;
    if (ev->kind == EVENT_FINISH)
        c->stop_string = ev->stop_string;
    begin(c, out);
    chat_answer_event(&c->answer, ev);
    if (chat_answer_no_memory(&c->answer) || c->blocks.failed || c->text.failed)
        out->failed = true;
}

static void end_stream(struct messages_response *c)
{
    struct buf *out = begin_event(c, "message_delta");
    buf_puts(out, ",\"delta\":{");
    put_stop(c, out);
    buf_putc(out, '}');
    put_usage(c, out);
    end_event(out);
    end_event(begin_event(c, "message_stop"));
}

static bool is_cut(const struct chat_answer *a)
{
    return a->reason != FINISH_STOP && a->reason != FINISH_LENGTH;
}

void messages_response_close(struct messages_response *c, struct buf *out)
{
    struct err cut;
    if (c->ended)
        return;
    begin(c, out);
    close_block(c);
    if (!c->req->chat.stream) {
        put_message(c, out);
    } else if (is_cut(&c->answer)) {
        err_set(&cut, ERR_UNAVAILABLE, "the answer was cut short");
        messages_response_error(c, &cut, out);
    } else {
        end_stream(c);
    }
    c->ended = true;
}

void messages_response_error(struct messages_response *c, const struct err *err,
                             struct buf *out)
{
    if (c->ended)
        return;
    sse_begin_event(out, "error");
    problem_body_as(PROBLEM_ANTHROPIC, err, NULL, out);
    sse_end(out);
    c->ended = true;
}

const struct chat_answer *messages_response_answer(const struct messages_response *c)
{
    return &c->answer;
}

void messages_response_count(size_t n_tokens, struct buf *out)
{
    buf_printf(out, "{\"input_tokens\":%zu}", n_tokens);
}
