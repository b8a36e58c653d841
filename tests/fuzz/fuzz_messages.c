/*
 * Bodies of /v1/messages, and answers to those that were understood. The bytes behind the
 * body's last newline, if any, are the answer's words, the first of them the form of
 * calls. Nothing may crash, events and objects are JSON, and a stream's deltas are the
 * texts of the whole answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/messages_response.h"
#include "engine/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct api_limits limits = {.served_name = "tiny",
                                         .vocab_size = 512,
                                         .context_tokens = 256,
                                         .has_tokenizer = true,
                                         .max_prompts = 8,
                                         .max_choices = 32,
                                         .max_answer_tokens = 4096};

static const char *const texts[] = {"text", "thinking"};
enum { N_TEXTS = 2 };

static const char *piece(void *arg, int32_t id, size_t *len)
{
    (void)arg;
    (void)id;
    *len = 8;
    return "<|call|>";
}

static struct json *parsed(const char *text, size_t len)
{
    struct json *j = NULL;
    struct err err;
    if (json_parse(&j, text, len, &err) != 0) {
        fprintf(stderr, "%s: %.*s\n", err.text, (int)len, text);
        abort();
    }
    return j;
}

/* Appends what an object says: a block, or a delta. */
static void gather(const struct json *j, struct buf *said)
{
    for (size_t i = 0; i < N_TEXTS; i++) {
        size_t n = 0;
        const char *s = json_as_string(json_get(j, texts[i]), &n);
        if (s)
            buf_put(said, s, n);
    }
}

static void gather_whole(const struct buf *out, struct buf *said)
{
    struct json *j = parsed(out->data, out->len);
    const struct json *content = json_get(j, "content");
    for (size_t i = 0; i < json_len(content); i++)
        gather(json_at(content, i), said);
    json_free(j);
}

static void gather_stream(const struct buf *out, struct buf *said)
{
    for (const char *p = out->data, *stop; p && *p; p = stop + 2) {
        stop = strstr(p, "\n\n");
        const char *data = strstr(p, "\ndata: ");
        if (!stop || strncmp(p, "event: ", 7) != 0 || !data || data > stop)
            abort();
        struct json *j = parsed(data + 7, (size_t)(stop - data) - 7);
        gather(json_get(j, "delta"), said);
        json_free(j);
    }
}

static void say(struct messages_response *c, const uint8_t *words, size_t n,
                struct buf *out)
{
    struct event ev = {.kind = EVENT_START};
    messages_response_event(c, &ev, out);
    for (size_t i = 0; i < n; i++) {
        char ascii = (char)(words[i] & 127); /* the engine's text is UTF-8 */
        if (!ascii)
            ascii = ' '; /* the reader of JSON here takes no key with U+0000 */
        ev = (struct event){.kind = EVENT_TOKEN,
                            .special = words[i] >= 0xf0,
                            .text = &ascii,
                            .text_len = words[i] < 0xf0};
        messages_response_event(c, &ev, out);
    }
    ev = (struct event){.kind = EVENT_FINISH,
                        .reason = (enum finish_reason)(n % 2),
                        .stop_id = -1,
                        .stop_string = -1};
    messages_response_event(c, &ev, out);
    messages_response_close(c, out);
}

static void answer(struct messages_request *r, bool stream, const uint8_t *words,
                   size_t n, struct buf *said)
{
    static const int32_t ids[] = {1, 2};
    struct messages_response *c = NULL;
    struct chat_answer_head head = {.id = "msg_1", .model = "m", .piece = piece};
    struct err err;
    struct buf out = {0};
    head.answer = (struct answer_options){
        .format = (enum tool_format)(n ? words[0] % TOOL_FORMAT_N : 0),
        .specs = r->chat.chat.specs,
        .n_specs = r->chat.chat.n_specs,
        .reasoning = true};
    r->chat.stream = stream;
    if (messages_response_open(&c, r, &head, &err) != 0)
        abort();
    messages_response_prompt(c, ids, 2);
    say(c, words, n, &out);
    if (stream)
        gather_stream(&out, said);
    else
        gather_whole(&out, said);
    messages_response_free(c);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size ? memrchr(data, '\n', size) : NULL;
    size_t len = cut ? (size_t)(cut - data) : size;
    struct messages_request r;
    struct err err;
    if (messages_request_parse(&r, &limits, (const char *)data, len, &err) != 0)
        return 0;
    const uint8_t *words = cut ? cut + 1 : data + size;
    size_t n = size - (size_t)(words - data);
    struct buf whole = {0}, streamed = {0};
    answer(&r, false, words, n, &whole);
    answer(&r, true, words, n, &streamed);
    if (whole.len != streamed.len ||
        (whole.len && memcmp(whole.data, streamed.data, whole.len) != 0))
        abort();
    buf_free(&whole);
    buf_free(&streamed);
    messages_request_free(&r);
    return 0;
}
