/*
 * The prompts of a request: one text, many texts, ids, or many lists of ids. Any thread.
 *
 * Readers for field tables (fields.h). Shapes are checked whole (no mixed arrays, nothing
 * empty, ids inside the vocabulary, no more prompts than the limit) before anything is
 * copied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_PROMPT_H
#define API_PROMPT_H

#include "api/fields.h"

/* One prompt: text, or ids when text is NULL. */
struct prompt {
    const char *text; /* borrows from the request's arena; may hold NUL bytes */
    size_t text_len;
    const struct text_mark *marks; /* [n_marks]: what of the text is a client's content */
    size_t n_marks;
    const size_t *turns; /* [n_turns] bytes of the text, ascending: for checkpoints */
    size_t n_turns;
    const int32_t *ids; /* borrows from the request's arena */
    size_t n_ids;
};

struct prompts {
    struct prompt *list; /* borrows from the request's arena */
    size_t n;
};

/* A `struct prompts` at f->at: any of the four shapes. */
int prompt_read(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                void *into, struct err *err);

/* A `struct prompt` at f->at: one text, which may be empty. */
int prompt_read_text(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err);

/* A `struct prompt` at f->at: f->min..f->max ids. */
int prompt_read_ids(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                    void *into, struct err *err);

#endif
