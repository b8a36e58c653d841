/* Four parallel arrays, each written as its JSON grows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/logprobs.h"

#include "engine/base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void logprobs_free(struct logprobs *lp)
{
    buf_free(&lp->tokens);
    buf_free(&lp->values);
    buf_free(&lp->tops);
    buf_free(&lp->offsets);
    lp->n = 0;
}

void logprobs_reset(struct logprobs *lp)
{
    buf_reset(&lp->tokens);
    buf_reset(&lp->values);
    buf_reset(&lp->tops);
    buf_reset(&lp->offsets);
    lp->n = 0;
}

bool logprobs_no_memory(const struct logprobs *lp)
{
    return lp->tokens.failed || lp->values.failed || lp->tops.failed ||
           lp->offsets.failed;
}

void logprobs_put_value(struct buf *out, float logprob)
{
    if (isinf(logprob) && logprob < 0)
        buf_puts(out, "-9999.0");
    else
        buf_json_number(out, (double)logprob);
}

void logprobs_put_token(struct buf *out, int32_t id, api_piece_fn *piece, void *arg)
{
    size_t len = 0;
    const char *s = piece(arg, id, &len);
    if (!s) {
        buf_printf(out, "\"token_id:%" PRId32 "\"", id);
        return;
    }
    if (utf8_valid(s, len) && !memchr(s, '\0', len)) {
        buf_json_string(out, s, len);
        return;
    }
    buf_puts(out, "\"bytes:");
    for (size_t i = 0; i < len; i++)
        buf_printf(out, "\\\\x%02x", (unsigned)(unsigned char)s[i]);
    buf_putc(out, '"');
}

/* The members written so far, each a span of the buffer, to see a name twice. */
struct names {
    size_t n, start[ENGINE_MAX_TOP + 1], len[ENGINE_MAX_TOP + 1];
};

/* Writes "name":value, unless the name is there already: callers come best first. */
static void put_member(struct buf *out, struct names *seen, const struct top_logprob *t,
                       api_piece_fn *piece, void *arg)
{
    size_t before = out->len;
    if (seen->n)
        buf_putc(out, ',');
    size_t start = out->len;
    logprobs_put_token(out, t->id, piece, arg);
    if (out->failed)
        return;
    size_t len = out->len - start;
    for (size_t i = 0; i < seen->n; i++)
        if (seen->len[i] == len &&
            memcmp(out->data + seen->start[i], out->data + start, len) == 0) {
            out->len = before;
            out->data[before] = '\0';
            return;
        }
    seen->start[seen->n] = start;
    seen->len[seen->n++] = len;
    buf_putc(out, ':');
    logprobs_put_value(out, t->logprob);
}

/* The best alternatives, and the token itself when it is not among them. */
static void put_tops(struct buf *out, const struct event *ev, api_piece_fn *piece,
                     void *arg)
{
    struct names seen = {0};
    struct top_logprob own = {ev->id, ev->logprob};
    bool there = false;
    if (isnan(ev->logprob)) {
        buf_puts(out, "null");
        return;
    }
    buf_putc(out, '{');
    for (int i = 0; i < ev->n_top; i++) {
        there = there || ev->top[i].id == ev->id;
        put_member(out, &seen, &ev->top[i], piece, arg);
    }
    if (!there)
        put_member(out, &seen, &own, piece, arg);
    buf_putc(out, '}');
}

void logprobs_put(struct logprobs *lp, const struct event *ev, size_t offset,
                  api_piece_fn *piece, void *arg)
{
    if (lp->n++) {
        buf_putc(&lp->tokens, ',');
        buf_putc(&lp->values, ',');
        buf_putc(&lp->tops, ',');
        buf_putc(&lp->offsets, ',');
    }
    logprobs_put_token(&lp->tokens, ev->id, piece, arg);
    logprobs_put_value(&lp->values, ev->logprob);
    put_tops(&lp->tops, ev, piece, arg);
    buf_printf(&lp->offsets, "%zu", offset);
}

/* ,"name":[a,b] */
static void put_array(struct buf *out, const char *name, const struct buf *a,
                      const struct buf *b)
{
    buf_printf(out, "\"%s\":[", name);
    if (a && a->len)
        buf_put(out, a->data, a->len);
    if (a && b && a->len && b->len)
        buf_putc(out, ',');
    if (b && b->len)
        buf_put(out, b->data, b->len);
    buf_putc(out, ']');
}

void logprobs_write(const struct logprobs *a, const struct logprobs *b, struct buf *out)
{
    buf_putc(out, '{');
    put_array(out, "tokens", a ? &a->tokens : NULL, b ? &b->tokens : NULL);
    buf_putc(out, ',');
    put_array(out, "token_logprobs", a ? &a->values : NULL, b ? &b->values : NULL);
    buf_putc(out, ',');
    put_array(out, "top_logprobs", a ? &a->tops : NULL, b ? &b->tops : NULL);
    buf_putc(out, ',');
    put_array(out, "text_offset", a ? &a->offsets : NULL, b ? &b->offsets : NULL);
    buf_putc(out, '}');
}
