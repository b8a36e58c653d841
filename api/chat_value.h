/*
 * JSON of a request's body as what outlives the body: a template's value, a text, or JSON
 * again. Everything is copied into the arena. Any thread.
 *
 * Templates count in 64 bits, so a number beyond them is refused, and so is what is
 * nested more than CHAT_VALUE_DEPTH deep; errors name the place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_CHAT_VALUE_H
#define API_CHAT_VALUE_H

#include "api/body_path.h"
#include "api/chat.h"

enum { CHAT_VALUE_DEPTH = 100 };

/* Every string in it, the names of members too, gets the mark. ERR_ARGUMENT, ERR_MEMORY. */
int chat_value_read(struct arena *arena, const struct body_path *at,
                    const struct value *v, uint16_t mark, struct jinja_value *out,
                    struct err *err);

/* v must be a string. ERR_ARGUMENT, ERR_MEMORY. */
int chat_value_text(struct arena *arena, const struct body_path *at,
                    const struct value *v, struct chat_text *out, struct err *err);

/* The same of an object's member, which must not be empty; `at` is the object's place. */
int chat_value_name(struct arena *arena, const struct body_path *at,
                    const struct value *object, const char *member, struct chat_text *out,
                    struct err *err);

/* v written as JSON without blanks. ERR_ARGUMENT, ERR_MEMORY. */
int chat_value_json(struct arena *arena, const struct body_path *at,
                    const struct value *v, struct chat_text *out, struct err *err);

#endif
