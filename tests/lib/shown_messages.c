/* The line of tests/lib/shown_messages.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/shown_messages.h"

static void show_text(struct buf *out, const struct chat_text *t)
{
    buf_put(out, t->text, t->len);
}

static void show_message(struct buf *out, const struct chat_message *m)
{
    static const char roles[] = "SDUAT";
    buf_putc(out, roles[m->role]);
    if (m->tool_call_id.text) {
        buf_putc(out, '#');
        show_text(out, &m->tool_call_id);
    }
    if (m->reasoning.text) {
        buf_putc(out, '{');
        show_text(out, &m->reasoning);
        buf_putc(out, '}');
    }
    buf_puts(out, m->is_list ? "[[" : "[");
    for (size_t i = 0; i < m->n_parts; i++) {
        buf_puts(out, i ? "|" : "");
        show_text(out, &m->parts[i]);
    }
    buf_puts(out, m->is_list ? "]]" : "]");
    for (size_t i = 0; i < m->n_calls; i++) {
        show_text(out, &m->calls[i].name);
        buf_putc(out, '(');
        show_text(out, &m->calls[i].id);
        buf_putc(out, ',');
        show_text(out, &m->calls[i].arguments);
        buf_putc(out, ')');
    }
    buf_puts(out, m->breakpoint ? "! " : " ");
}

void shown_messages_put(struct buf *out, const struct chat *chat)
{
    for (size_t i = 0; i < chat->n_messages; i++)
        show_message(out, &chat->messages[i]);
}
