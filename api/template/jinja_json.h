/*
 * json.dumps() as transformers' tojson calls it. Bytes of texts keep their marks, also as
 * keys and under escapes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_JINJA_JSON_H
#define API_TEMPLATE_JINJA_JSON_H

#include "api/template/jinja_string.h"

struct jinja_json_style {              /* zeroed: on one line, as Python does it */
    const struct jinja_string *indent; /* of one level; NULL: all on one line */
    const struct jinja_string *item_separator, *key_separator; /* NULL: Python's */
    bool ensure_ascii, sort_keys;
};

/* Fails the render on what JSON has no form for: undefined, functions, namespaces, views,
 * keys that are tuples, keys that do not compare when they are sorted, deep nesting. */
void jinja_json(struct jinja_builder *b, struct jinja_value v,
                const struct jinja_json_style *style);

#endif
