/* The walk of prompt tokens along the prompt's text, linear in the text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/echo.h"

#include "engine/base/utf8.h"

#include <string.h>

void echo_open(struct echo *e, const struct prompt *p, const int32_t *ids, size_t n,
               api_piece_fn *piece, void *arg)
{
    e->text = p->text;
    e->len = p->text_len;
    if (!p->text) {
        for (size_t i = 0; i < n; i++) {
            size_t len = 0;
            const char *s = piece(arg, ids[i], &len);
            buf_put(&e->decoded, s, s ? len : 0);
        }
        e->text = e->decoded.data ? e->decoded.data : "";
        e->len = e->decoded.len;
    }
    e->n_chars = utf8_count(e->text, e->len);
}

void echo_free(struct echo *e)
{
    buf_free(&e->decoded);
    logprobs_free(&e->probs);
}

bool echo_no_memory(const struct echo *e)
{
    return e->decoded.failed || logprobs_no_memory(&e->probs);
}

/* Bytes of the character at `at`; one for a byte that is part of none. */
static size_t width(const struct echo *e, size_t at)
{
    uint32_t c;
    int n = utf8_decode(e->text + at, e->len - at, &c);
    return n > 0 ? (size_t)n : 1;
}

/* Steps over the bytes of one token. */
static void step(struct echo *e, const char *s, size_t len)
{
    if (len <= e->len - e->at && memcmp(e->text + e->at, s, len) == 0) {
        e->at += len;
        return;
    }
    if (e->probs.n == 1)
        return;
    for (size_t n = utf8_count(s, len); n > 0 && e->at < e->len; n--)
        e->at += width(e, e->at);
}

void echo_put(struct echo *e, const struct event *ev, api_piece_fn *piece, void *arg)
{
    logprobs_put(&e->probs, ev, e->n_before, piece, arg);
    size_t len = 0;
    const char *s = piece(arg, ev->id, &len);
    if (s)
        step(e, s, len);
    for (size_t w; e->edge < e->at && (w = width(e, e->edge)) <= e->at - e->edge;) {
        e->edge += w;
        e->n_before++;
    }
}
