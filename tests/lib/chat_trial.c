/* Requests for answers of a chat, and the events of their engine.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/chat_trial.h"

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
    if (id < 0 || id >= CHAT_TRIAL_BARE)
        return NULL;
    if (id >= CHAT_TRIAL_CALL) {
        *len = strlen(marks[id - CHAT_TRIAL_CALL]);
        return marks[id - CHAT_TRIAL_CALL];
    }
    *len = 1;
    bytes[id & 0xFF] = (char)id;
    return &bytes[id & 0xFF];
}

const int32_t chat_trial_prompt[] = {1, 2, 3};

struct chat_response_head chat_trial_head(bool inside)
{
    return (struct chat_response_head){
        .id = "chatcmpl-1",
        .created = 1700000000,
        .model = "tiny",
        .piece = piece,
        .answer = {.format = TOOL_FORMAT_HERMES, .reasoning = true, .inside = inside}};
}

void chat_trial_parse(struct chat_trial *t, const char *members)
{
    struct err err = {0};
    struct buf body = {0};
    *t = (struct chat_trial){0};
    buf_printf(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]%s}",
               members);
    if (chat_request_parse(&t->req, &limits, body.data, body.len, &err) != 0)
        fail_msg("%s: %s", body.data, err.text);
    if (!t->req.has_seed)
        t->req.gen.seed = 42;
    buf_free(&body);
}

void chat_trial_start_at(struct chat_trial *t, const char *members, bool inside)
{
    struct err err;
    struct chat_response_head head = chat_trial_head(inside);
    chat_trial_parse(t, members);
    assert_int_equal(chat_response_open(&t->c, &t->req, &head, &err), 0);
    chat_response_prompt(t->c, chat_trial_prompt, 3);
}

void chat_trial_start(struct chat_trial *t, const char *members)
{
    chat_trial_start_at(t, members, false);
}

void chat_trial_finish(struct chat_trial *t)
{
    chat_response_free(t->c);
    chat_request_free(&t->req);
    buf_free(&t->out);
}

void chat_trial_bytes(struct chat_trial *t, int choice, int32_t id, const char *text,
                      size_t len)
{
    struct event ev = {.kind = EVENT_TOKEN,
                       .choice = choice,
                       .id = id,
                       .special = id >= CHAT_TRIAL_CALL,
                       .logprob = -1,
                       .text = text,
                       .text_len = len};
    chat_response_event(t->c, &ev, &t->out);
}

void chat_trial_token(struct chat_trial *t, int choice, const char *text)
{
    chat_trial_bytes(t, choice, 'x', text, strlen(text));
}

void chat_trial_special(struct chat_trial *t, int32_t id)
{
    chat_trial_bytes(t, 0, id, "", 0);
}

void chat_trial_end(struct chat_trial *t, int choice, enum finish_reason reason,
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

struct json *chat_trial_take(struct chat_trial *t)
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
