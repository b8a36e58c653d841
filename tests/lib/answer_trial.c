/* Requests for answers of a chat, and the events of their engine.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/answer_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct api_limits limits = {.served_name = "tiny",
                                         .vocab_size = 512,
                                         .context_tokens = 4096,
                                         .has_tokenizer = true,
                                         .has_states = true,
                                         .max_prompts = 1,
                                         .max_choices = 64,
                                         .max_answer_tokens = 1000000};

static const char *piece(void *arg, int32_t id, size_t *len)
{
    static char bytes[256];
    static const char *const marks[] = {"<tool_call>", "</tool_call>"};
    (void)arg;
    if (id < 0 || id >= ANSWER_TRIAL_BARE)
        return NULL;
    if (id >= ANSWER_TRIAL_CALL) {
        *len = strlen(marks[id - ANSWER_TRIAL_CALL]);
        return marks[id - ANSWER_TRIAL_CALL];
    }
    *len = 1;
    bytes[id & 0xFF] = (char)id;
    return &bytes[id & 0xFF];
}

const int32_t answer_trial_prompt[] = {1, 2, 3};

struct chat_answer_head answer_trial_head(bool inside)
{
    return (struct chat_answer_head){
        .id = "chatcmpl-1",
        .created = 1700000000,
        .model = "tiny",
        .piece = piece,
        .answer = {.format = TOOL_FORMAT_HERMES, .reasoning = true, .inside = inside}};
}

void answer_trial_parse(struct answer_trial *t, const char *members)
{
    struct err err = {0};
    struct buf body = {0};
    *t = (struct answer_trial){0};
    buf_printf(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]%s}",
               members);
    if (chat_request_parse(&t->req, &limits, body.data, body.len, &err) != 0)
        fail_msg("%s: %s", body.data, err.text);
    if (!t->req.has_seed)
        t->req.gen.seed = 42;
    buf_free(&body);
}

void answer_trial_start_at(struct answer_trial *t, const char *members, bool inside)
{
    struct err err;
    struct chat_answer_head head = answer_trial_head(inside);
    answer_trial_parse(t, members);
    assert_int_equal(chat_response_open(&t->c, &t->req, &head, &err), 0);
    chat_response_prompt(t->c, answer_trial_prompt, 3);
}

void answer_trial_start(struct answer_trial *t, const char *members)
{
    answer_trial_start_at(t, members, false);
}

void answer_trial_finish(struct answer_trial *t)
{
    chat_response_free(t->c);
    chat_request_free(&t->req);
    buf_free(&t->out);
}

void answer_trial_bytes(struct answer_trial *t, int choice, int32_t id, const char *text,
                        size_t len)
{
    struct event ev = {.kind = EVENT_TOKEN,
                       .choice = choice,
                       .id = id,
                       .special = id >= ANSWER_TRIAL_CALL,
                       .logprob = -1,
                       .text = text,
                       .text_len = len};
    chat_response_event(t->c, &ev, &t->out);
}

void answer_trial_token(struct answer_trial *t, int choice, const char *text)
{
    answer_trial_bytes(t, choice, 'x', text, strlen(text));
}

void answer_trial_special(struct answer_trial *t, int32_t id)
{
    answer_trial_bytes(t, 0, id, "", 0);
}

void answer_trial_end(struct answer_trial *t, int choice, enum finish_reason reason,
                      int n_generated)
{
    struct event ev = {.kind = EVENT_FINISH,
                       .choice = choice,
                       .reason = reason,
                       .stop_id = -1,
                       .stop_string = -1,
                       .n_prompt = 3,
                       .n_cached = choice ? 9 : 2,
                       .n_generated = n_generated};
    chat_response_event(t->c, &ev, &t->out);
}

struct json *answer_trial_take(struct answer_trial *t)
{
    struct json *j = NULL;
    struct err err;
    const char *stop = t->out.data ? strstr(t->out.data, "\n\n") : NULL;
    if (!stop)
        fail_msg("no event");
    size_t len = (size_t)(stop - t->out.data);
    assert_memory_equal(t->out.data, "data: ", 6);
    if (strncmp(t->out.data, "data: [DONE]", len) != 0)
        assert_int_equal(json_parse(&j, t->out.data + 6, len - 6, &err), 0);
    buf_drop(&t->out, len + 2);
    return j;
}
