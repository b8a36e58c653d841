/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/marked.h"

#include <assert.h>
#include <string.h>

void marked_read(struct marked *m, const char *written)
{
    size_t n = 0;
    *m = (struct marked){0};
    for (const char *s = written; *s; s++) {
        assert(n < MARKED_MAX);
        if (*s == '{' || *s == '(')
            m->marks[n] = (struct text_mark){.begin = m->chars.len, .added = *s == '('};
        else if (*s == '}' || *s == ')')
            m->marks[n++].end = m->chars.len;
        else
            buf_putc(&m->chars, *s);
    }
    assert(!m->chars.failed);
    m->text = (struct engine_text){m->chars.data, m->chars.len, m->marks, n};
}

void marked_free(struct marked *m)
{
    buf_free(&m->chars);
}
