/*
 * Bodies of every endpoint that takes one, and the answer to what was understood. The
 * first byte chooses the endpoint; the bytes behind the body's last newline, if any, are
 * a script of events. Nothing may crash, and whatever is written must be JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/completion_response.h"
#include "api/tokenize.h"
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

/* Pieces of one or two bytes, many of them not UTF-8; some ids have none. */
static const char *piece(void *arg, int32_t id, size_t *len)
{
    static char bytes[512][2];
    (void)arg;
    if (id < 0 || id >= 500)
        return NULL;
    bytes[id][0] = (char)id;
    bytes[id][1] = (char)(id * 7);
    *len = 1 + (size_t)id % 2;
    return bytes[id];
}

static void check_json(const char *text, size_t len)
{
    struct json *j = NULL;
    struct err err;
    if (json_parse(&j, text, len, &err) != 0) {
        fprintf(stderr, "%s: %.*s\n", err.text, (int)len, text);
        abort();
    }
    json_free(j);
}

static void check_stream(const char *text, size_t len)
{
    while (len) {
        const char *stop = memmem(text, len, "\n\n", 2);
        if (!stop || strncmp(text, "data: ", 6) != 0)
            abort();
        size_t n = (size_t)(stop - text);
        if (n != 12 || memcmp(text, "data: [DONE]", 12) != 0)
            check_json(text + 6, n - 6);
        text += n + 2;
        len -= n + 2;
    }
}

/* Four bytes of the script make an event. True: a choice has failed. */
static bool play(struct completion_response *c, const uint8_t *s, size_t n,
                 struct buf *out)
{
    bool failed = false;
    static const char *const texts[] = {"", "a", "\xe2\x82\xac", "\"\n"};
    for (size_t i = 0; i + 4 <= n; i += 4) {
        const char *text = texts[s[i] >> 2 & 3];
        struct event ev = {.kind = (enum event_kind)(s[i] & 3),
                           .choice = s[i + 1] % 33 - 1,
                           .id = s[i + 2] * 2,
                           .logprob = -(float)s[i + 3] / 16,
                           .n_top = s[i + 3] % 6,
                           .text = text,
                           .text_len = strlen(text),
                           .reason = (enum finish_reason)(s[i + 2] % FINISH_N)};
        for (int k = 0; k < ev.n_top; k++)
            ev.top[k] = (struct top_logprob){s[i + 2] + k * 5, -(float)k};
        completion_response_event(c, &ev, out);
        failed = failed || (ev.kind == EVENT_FINISH && ev.reason == FINISH_ERROR);
    }
    return failed;
}

static void answer(struct completion_request *req, const uint8_t *script, size_t n)
{
    struct completion_response *c = NULL;
    struct completion_response_head head = {"cmpl-1", 1, "tiny", piece, NULL};
    struct err err;
    struct buf out = {0};
    if (completion_response_open(&c, req, &head, &err) != 0)
        abort();
    for (size_t i = 0; i < req->prompts.n; i++) {
        int32_t made[] = {1, 97};
        const struct prompt *p = &req->prompts.list[i];
        completion_response_prompt(c, i, p->text ? made : p->ids, p->text ? 2 : p->n_ids);
    }
    if (play(c, script, n, &out)) {
        err_set(&err, ERR_UNAVAILABLE, "failed");
        if (req->stream)
            completion_response_error(c, &err, &out);
    } else {
        completion_response_close(c, &out);
    }
    if (req->stream)
        check_stream(out.data, out.len);
    else if (out.len)
        check_json(out.data, out.len);
    completion_response_free(c);
    buf_free(&out);
}

static void complete(const char *body, size_t len)
{
    const char *cut = memrchr(body, '\n', len);
    size_t n = cut ? (size_t)(cut - body) : len;
    struct completion_request req;
    struct err err;
    if (completion_request_parse(&req, &limits, body, n, &err) != 0)
        return;
    answer(&req, (const uint8_t *)body + n, len - n);
    completion_request_free(&req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *body = (const char *)data + 1;
    struct tokenize_request t;
    struct err err;
    if (data[0] == 't') {
        if (tokenize_parse(&t, &limits, body, size - 1, &err) == 0)
            tokenize_free(&t);
    } else if (data[0] == 'd') {
        if (tokenize_parse_ids(&t, &limits, body, size - 1, &err) == 0)
            tokenize_free(&t);
    } else {
        complete(body, size - 1);
    }
    return 0;
}
