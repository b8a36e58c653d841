/*
 * Texts with marks: how they are built, cut and read. A text of one mark has no array of
 * marks; a builder begins one at the first byte of another mark.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_STRING_H
#define API_TEMPLATE_JINJA_STRING_H

#include "api/template/jinja_render.h"

/* A growing text, at most the limits' output_bytes, in the arena. After a failure every
 * put does nothing. Put pieces, not single bytes, where it matters. */
struct jinja_builder {
    struct jinja_render *render;
    char *text;
    size_t len, cap;
    uint16_t *marks; /* [cap]; NULL while all bytes have `mark` */
    uint16_t mark;
};

void jinja_string_begin(struct jinja_builder *b, struct jinja_render *r);
void jinja_string_put(struct jinja_builder *b, const char *text, size_t len,
                      uint16_t mark);
void jinja_string_puts(struct jinja_builder *b, const char *text); /* of mark 0 */
void jinja_string_join(struct jinja_builder *b, const struct jinja_string *s);
/* Bytes [from, from + len) of s, with their marks. */
void jinja_string_slice(struct jinja_builder *b, const struct jinja_string *s,
                        size_t from, size_t len);
struct jinja_value jinja_string_end(struct jinja_builder *b);

/* A value of bytes [from, from + len) of s, which it borrows; as safe as s. */
struct jinja_value jinja_string_cut(struct jinja_render *r, const struct jinja_string *s,
                                    size_t from, size_t len);

/* A value of text that outlives the render, of mark 0. */
struct jinja_value jinja_string_of(struct jinja_render *r, const char *text, size_t len);

/* The same text as Markup. */
struct jinja_value jinja_string_safe(struct jinja_render *r, struct jinja_value text);

/* The mark of byte i. */
static inline uint16_t jinja_string_mark(const struct jinja_string *s, size_t i)
{
    return s->marks ? s->marks[i] : s->mark;
}

#endif
