/* Bytes and spans in two growing arrays; spans are found by halving.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/answer_hold.h"

#include "engine/base/mem.h"

#include <string.h>

enum { WORTH_A_COPY = 4096 };

void answer_hold_free(struct answer_hold *h)
{
    buf_free(&h->text);
    mem_free(h->specials);
    *h = (struct answer_hold){0};
}

static bool add_special(struct answer_hold *h, struct tool_span span)
{
    if (h->n_specials == h->specials_cap) {
        size_t size = h->specials_cap * sizeof span;
        size_t more = size ? 2 * size : 16 * sizeof span;
        struct tool_span *grown = mem_grow(h->specials, size, more);
        if (!grown)
            return false;
        h->specials = grown;
        h->specials_cap = more / sizeof span;
    }
    h->specials[h->n_specials++] = span;
    return true;
}

void answer_hold_put(struct answer_hold *h, const char *s, size_t len, bool special)
{
    struct tool_span span = {h->text.len, h->text.len + len};
    if (special && len && !add_special(h, span))
        h->failed = true;
    buf_put(&h->text, s, len);
    h->failed = h->failed || h->text.failed;
}

/* The first span that begins at `at` or behind it. */
static size_t find(const struct answer_hold *h, size_t at)
{
    size_t low = 0, high = h->n_specials;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (h->specials[mid].at < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

size_t answer_hold_special(const struct answer_hold *h, size_t at)
{
    size_t i = find(h, at);
    return i < h->n_specials ? h->specials[i].at : h->text.len;
}

/* The end of the special token that begins at `at`; `at`: none does. */
static size_t behind(const struct answer_hold *h, size_t at)
{
    size_t i = find(h, at);
    return i < h->n_specials && h->specials[i].at == at ? h->specials[i].end : at;
}

void answer_hold_leave(struct answer_hold *h, size_t end, answer_hold_fn *fn, void *arg)
{
    while (fn && h->head < end) {
        size_t stop = answer_hold_special(h, h->head);
        if (stop > end)
            stop = end;
        if (stop > h->head)
            fn(arg, h->text.data + h->head, stop - h->head);
        h->head = behind(h, stop);
    }
    if (h->head < end)
        h->head = end;
}

size_t answer_hold_compact(struct answer_hold *h)
{
    size_t by = h->head, kept = 0;
    if (by < h->text.len && (by < WORTH_A_COPY || by < h->text.len / 2))
        return 0;
    buf_drop(&h->text, by);
    h->head = 0;
    for (size_t i = find(h, by); i < h->n_specials; i++)
        h->specials[kept++] =
            (struct tool_span){h->specials[i].at - by, h->specials[i].end - by};
    h->n_specials = kept;
    return by;
}
