/*
 * Bodies of /v1/responses, and the answer to what was understood: the bytes behind the
 * body's last newline, if any, are the words of the answer. Nothing may crash, whatever
 * is written is JSON in good frames, and a stream ends with what a whole answer is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/responses_response.h"
#include "engine/base/json.h"
#include "engine/base/utf8.h"

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

static const char *piece(void *arg, int32_t id, size_t *len)
{
    (void)arg;
    (void)id;
    *len = 9;
    return "</think>\n";
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

/* The last event of a stream, all others checked. */
static struct json *last_event(const char *text, size_t len)
{
    struct json *j = NULL;
    for (int64_t i = 0; len; i++) {
        const char *data = memmem(text, len, "\ndata: ", 7);
        const char *stop = memmem(text, len, "\n\n", 2);
        if (!stop || !data || data > stop || strncmp(text, "event: ", 7) != 0)
            abort();
        json_free(j);
        j = parsed(data + 7, (size_t)(stop - data) - 7);
        const char *type = json_as_string(json_get(j, "type"), NULL);
        if (strncmp(text + 7, type, (size_t)(data - text) - 7) != 0 ||
            json_as_int(json_get(j, "sequence_number")) != i)
            abort();
        len -= (size_t)(stop - text) + 2;
        text = stop + 2;
    }
    return j;
}

/* Pieces of 1 to 8 whole characters; every 16th one is a special token. */
static void say(struct responses_response *c, const char *s, size_t len, struct buf *out)
{
    for (size_t i = 0, n; i < len; i += n) {
        for (n = 1 + (unsigned char)s[i] % 8; i + n < len && (s[i + n] & 0xc0) == 0x80;)
            n++;
        n = n < len - i ? n : len - i;
        struct event ev = {.kind = EVENT_TOKEN, .text = s + i, .text_len = n};
        ev.special = (unsigned char)s[i] % 16 == 15;
        responses_response_event(c, &ev, out);
    }
    struct event end = {.kind = EVENT_FINISH,
                        .reason = len % 2 ? FINISH_LENGTH : FINISH_STOP,
                        .n_generated = (int)len};
    responses_response_event(c, &end, out);
}

static struct json *answer(struct responses_request *req, bool stream, const char *s,
                           size_t len)
{
    struct responses_response *c = NULL;
    const struct chat *chat = &req->chat.chat;
    struct chat_answer_head head = {
        .id = "resp_0", .created = 1, .model = "tiny", .piece = piece};
    head.answer =
        (struct answer_options){.format = (enum tool_format)(len % TOOL_FORMAT_N),
                                .specs = chat->specs,
                                .n_specs = chat->n_specs,
                                .reasoning = true};
    struct err err;
    struct buf out = {0};
    req->chat.stream = stream;
    if (responses_response_open(&c, req, &head, &err) != 0)
        abort();
    say(c, s, len, &out);
    responses_response_close(c, &out);
    struct json *j = stream ? last_event(out.data, out.len) : parsed(out.data, out.len);
    responses_response_free(c);
    buf_free(&out);
    return j;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data, *cut = memrchr(body, '\n', size);
    size_t n = cut ? (size_t)(cut - body) : size;
    struct responses_request req;
    struct err err;
    if (responses_request_parse(&req, &limits, body, n, &err) != 0)
        return 0;
    const char *words = cut ? cut + 1 : "";
    size_t len = cut ? size - n - 1 : 0;
    if (utf8_valid(words, len)) {
        struct json *whole = answer(&req, false, words, len);
        struct json *last = answer(&req, true, words, len);
        if (!json_equal_values(whole, json_get(last, "response")))
            abort();
        json_free(whole);
        json_free(last);
    }
    responses_request_free(&req);
    return 0;
}
