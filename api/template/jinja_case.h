/*
 * Case of texts as Python's str changes it, with Unicode's full mappings and its final
 * sigma. What a character becomes has the character's mark; a safe text stays safe.
 *
 * Each answers a new text, or fails the render.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_CASE_H
#define API_TEMPLATE_JINJA_CASE_H

#include "api/template/jinja_string.h"

struct jinja_value jinja_case_upper(struct jinja_render *r, const struct jinja_string *s);
struct jinja_value jinja_case_lower(struct jinja_render *r, const struct jinja_string *s);
struct jinja_value jinja_case_capitalize(struct jinja_render *r,
                                         const struct jinja_string *s);

/* str.title(): a word is a run of characters that have a case. */
struct jinja_value jinja_case_title(struct jinja_render *r, const struct jinja_string *s);

/* The filter title: a word begins after blanks, -, (, {, [ and <. */
struct jinja_value jinja_case_words(struct jinja_render *r, const struct jinja_string *s);

#endif
