/*
 * What methods and filters do with texts: strip, split, replace, search, join. Marks
 * follow their bytes; where nothing is changed nothing is copied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_TEXT_H
#define API_TEMPLATE_JINJA_TEXT_H

#include "api/template/jinja_string.h"

enum { JINJA_TEXT_LEFT = 1, JINJA_TEXT_RIGHT = 2 };

/* Without blanks, or the characters of `chars`, at the sides. */
struct jinja_value jinja_text_strip(struct jinja_render *r, const struct jinja_string *s,
                                    const struct jinja_string *chars, int sides);

/* A list; `sep` NULL: at runs of blanks. At most `most` cuts, negative: all. */
struct jinja_value jinja_text_split(struct jinja_render *r, const struct jinja_string *s,
                                    const struct jinja_string *sep, int64_t most);
struct jinja_value jinja_text_rsplit(struct jinja_render *r, const struct jinja_string *s,
                                     const struct jinja_string *sep, int64_t most);
struct jinja_value jinja_text_lines(struct jinja_render *r, const struct jinja_string *s,
                                    bool keep_ends);

/* At most `most` times, negative: all. */
struct jinja_value jinja_text_replace(struct jinja_render *r,
                                      const struct jinja_string *s,
                                      const struct jinja_string *old,
                                      const struct jinja_string *new, int64_t most);

/* The byte where `sub` first or last stands; -1: nowhere. */
int64_t jinja_text_find(struct jinja_render *r, const struct jinja_string *s,
                        const struct jinja_string *sub, bool last);

/* str() of the items with `sep` between them. `strict`: the items must be texts. */
struct jinja_value jinja_text_join(struct jinja_render *r, const struct jinja_string *sep,
                                   struct jinja_value items, bool strict);

/* Lines after the first (or all) begin with `by`; blank ones too where `blank`. */
struct jinja_value jinja_text_indent(struct jinja_render *r, const struct jinja_string *s,
                                     const struct jinja_string *by, bool first,
                                     bool blank);

#endif
