/*
 * The prompts of a request: one text, many texts, ids, or many lists of ids. Any thread.
 *
 * Shapes are checked whole (no mixed arrays, nothing empty, ids inside the vocabulary, no
 * more prompts than the limit) before anything is copied.
 */
#ifndef API_PROMPT_H
#define API_PROMPT_H

#include "api/api.h"
#include "engine/base/arena.h"
#include "engine/base/json.h"

/* One prompt: text, or ids when text is NULL. */
struct prompt {
    const char *text; /* borrows from the request's arena; may hold NUL bytes */
    size_t text_len;
    const int32_t *ids; /* borrows from the request's arena */
    size_t n_ids;
};

struct prompts {
    struct prompt *list; /* borrows from the request's arena */
    size_t n;
};

/* Reads v into out, copying into the arena. Errors name `field` and the place in it. */
int prompt_read(struct prompts *out, const struct json *v, const char *field,
                const struct api_limits *limits, struct arena *arena, struct err *err);

/* Reads an array of 1..max ids into the arena; where is what errors call it ("tokens").
 */
struct prompt_ids_limits {
    int vocab_size;
    size_t max;
};
int prompt_read_ids(struct prompt *out, const struct json *v, const char *where,
                    const struct prompt_ids_limits *limits, struct arena *arena,
                    struct err *err);

#endif
