/* A byte for each byte of text, so that whatever cuts, moves or changes the text does the
 * same to its marks, and in the same time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/tokenizer/marks.h"

#include <assert.h>
#include <string.h>

void marks_put(struct buf *out, enum mark mark, size_t n)
{
    if (!buf_reserve(out, n))
        return;
    memset(out->data + out->len, mark, n);
    out->len += n;
}

void marks_spread(struct buf *out, const struct engine_text *t)
{
    if (t->n_marks == 0)
        return;
    marks_put(out, MARK_NONE, t->len);
    for (size_t i = 0; i < t->n_marks && !out->failed; i++) {
        const struct text_mark *m = &t->marks[i];
        assert(m->begin <= m->end && m->end <= t->len);
        memset(out->data + m->begin, m->added ? MARK_ADDED : MARK_ALL, m->end - m->begin);
    }
}

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

void marks_whole(char *marks, const char *text, size_t len)
{
    for (size_t i = 1; i < len; i++)
        if (continues(text[i]) && marks[i - 1] > marks[i])
            marks[i] = marks[i - 1];
    for (size_t i = len; i-- > 1;)
        if (continues(text[i]) && marks[i] > marks[i - 1])
            marks[i - 1] = marks[i];
}

enum mark marks_largest(const char *marks, size_t begin, size_t end)
{
    char largest = MARK_NONE;
    for (size_t i = begin; i < end; i++)
        largest = marks[i] > largest ? marks[i] : largest;
    return (enum mark)largest;
}
