/* Between the engine's events and the parser of answers; counts what passes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_answer.h"

#include "api/envelope.h"
#include "engine/base/hash.h"

static void pass_text(void *arg, enum answer_part part, const char *s, size_t len)
{
    struct chat_answer *a = arg;
    a->sink.text(a->sink.arg, part, s, len);
}

static void pass_call(void *arg, const struct answer_call *call)
{
    struct chat_answer *a = arg;
    a->n_calls++;
    a->sink.call(a->sink.arg, call);
}

int chat_answer_open(struct chat_answer *a, const struct answer_options *o,
                     api_piece_fn *piece, void *piece_arg, struct err *err)
{
    struct answer_options own = *o;
    *a = (struct chat_answer){
        .sink = o->sink, .piece = piece, .piece_arg = piece_arg, .stop_id = -1};
    own.sink = (struct answer_sink){.text = pass_text, .call = pass_call, .arg = a};
    return answer_parser_open(&a->parser, &own, err);
}

void chat_answer_free(struct chat_answer *a)
{
    answer_parser_free(a->parser);
    a->parser = NULL;
}

static void take_text(struct chat_answer *a, const struct event *ev)
{
    if (ev->text_len > 0)
        answer_parser_push(a->parser, ev->text, ev->text_len, false);
}

static void take_special(struct chat_answer *a, int32_t id)
{
    size_t len = 0;
    const char *s = a->piece(a->piece_arg, id, &len);
    if (s)
        answer_parser_push(a->parser, s, len, true);
}

static void take_token(struct chat_answer *a, const struct event *ev)
{
    bool inside = answer_parser_reasoning(a->parser);
    take_text(a, ev);
    if (ev->special)
        take_special(a, ev->id);
    a->n_generated++;
    a->n_reasoning += inside || answer_parser_reasoning(a->parser);
}

static void take_finish(struct chat_answer *a, const struct event *ev)
{
    take_text(a, ev);
    answer_parser_finish(a->parser);
    a->done = true;
    a->reason = ev->reason;
    a->stop_id = ev->stop_id;
    a->n_generated = (size_t)ev->n_generated;
    a->n_prompt = (size_t)ev->n_prompt;
    a->n_cached = (size_t)ev->n_cached;
}

void chat_answer_event(struct chat_answer *a, const struct event *ev)
{
    if (a->done)
        return;
    if (ev->kind == EVENT_TOKEN)
        take_token(a, ev);
    else if (ev->kind == EVENT_FINISH)
        take_finish(a, ev);
}

const char *chat_answer_finish(const struct chat_answer *a)
{
    if (a->reason == FINISH_STOP && a->n_calls > 0)
        return "tool_calls";
    return envelope_reason(a->reason);
}

size_t chat_answer_failures(const struct chat_answer *a)
{
    return answer_parser_failures(a->parser);
}

bool chat_answer_no_memory(const struct chat_answer *a)
{
    return answer_parser_no_memory(a->parser);
}

uint64_t chat_answer_prompt(const int32_t *ids, size_t n)
{
    return hash_bytes(ids, n * sizeof *ids);
}

void chat_answer_call_id(uint64_t prompt, size_t choice, size_t index,
                         char out[CHAT_ANSWER_ID])
{
    static const char digits[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t parts[] = {prompt, choice, index};
    uint64_t x = hash_bytes(parts, sizeof parts);
    for (size_t i = 0; i + 1 < CHAT_ANSWER_ID; i++, x /= sizeof digits - 1)
        out[i] = digits[x % (sizeof digits - 1)];
    out[CHAT_ANSWER_ID - 1] = '\0';
}
