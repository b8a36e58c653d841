/* One object for each token.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_logprobs.h"

#include "api/logprobs.h"

static void put_bytes(struct buf *out, int32_t id, api_piece_fn *piece, void *arg)
{
    size_t len = 0;
    const char *s = piece(arg, id, &len);
    if (!s) {
        buf_puts(out, "null");
        return;
    }
    buf_putc(out, '[');
    for (size_t i = 0; i < len; i++)
        buf_printf(out, i ? ",%u" : "%u", (unsigned)(unsigned char)s[i]);
    buf_putc(out, ']');
}

/* {"token","logprob","bytes" without the end. */
static void put_token(struct buf *out, const struct top_logprob *t, api_piece_fn *piece,
                      void *arg)
{
    buf_puts(out, "{\"token\":");
    logprobs_put_token(out, t->id, piece, arg);
    buf_puts(out, ",\"logprob\":");
    logprobs_put_value(out, t->logprob);
    buf_puts(out, ",\"bytes\":");
    put_bytes(out, t->id, piece, arg);
}

void chat_logprobs_add(struct buf *list, const struct event *ev, api_piece_fn *piece,
                       void *arg)
{
    struct top_logprob own = {ev->id, ev->logprob};
    if (list->len)
        buf_putc(list, ',');
    put_token(list, &own, piece, arg);
    buf_puts(list, ",\"top_logprobs\":[");
    for (int i = 0; i < ev->n_top; i++) {
        if (i)
            buf_putc(list, ',');
        put_token(list, &ev->top[i], piece, arg);
        buf_putc(list, '}');
    }
    buf_puts(list, "]}");
}

void chat_logprobs_put(const struct buf *list, struct buf *out)
{
    buf_puts(out, "{\"content\":[");
    buf_put(out, list->data, list->len);
    buf_puts(out, "],\"refusal\":null}");
    out->failed = out->failed || list->failed;
}
