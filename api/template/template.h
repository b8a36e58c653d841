/*
 * A chat template: Jinja source, compiled once, rendered for every request. A compiled
 * template is constant; any thread renders it.
 *
 * The language is what Python's jinja2 3.1 makes of a template in transformers'
 * environment: immutable sandbox, trim_blocks, lstrip_blocks, the last newline cut, the
 * loop controls, `generation` blocks, tojson by json.dumps. No input, no output, no clock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef API_TEMPLATE_TEMPLATE_H
#define API_TEMPLATE_TEMPLATE_H

#include "api/template/jinja_value.h"
#include "engine/base/err.h"

struct template;

/* The source is copied. ERR_TEMPLATE "line N: …", ERR_MEMORY. */
int template_compile(struct template **out, const char *source, size_t len,
                     struct err *err);
void template_free(struct template *t); /* accepts NULL */

/* Whether the source mentions a word outside comments, as a name, an attribute or within
 * a string or text. */
bool template_mentions(const struct template *t, const char *word);

/* What one render may take. */
struct template_limits {
    size_t steps;        /* expressions evaluated and loop rounds */
    size_t output_bytes; /* of the text, and of any one string on the way */
    size_t memory_bytes; /* of the arena */
    int depth;           /* calls within calls */
};

extern const struct template_limits template_limits_default;

struct template_args {
    const struct jinja_dict *globals; /* the variables; not changed */
    int64_t now_s;                    /* for strftime_now: seconds of Unix time, UTC */
    const struct template_limits *limits;
};

/* The rendered text. */
struct template_text {
    const char *text; /* [len], and a NUL; in the arena */
    size_t len;
    const uint16_t *marks; /* [len]; NULL: no byte is a client's */
};

/* Renders into the arena, which also holds everything on the way. ERR_ARGUMENT with the
 * template's own words: it called raise_exception. ERR_TEMPLATE with line and expression:
 * an operation failed, or a limit was reached. ERR_MEMORY. */
int template_render(const struct template *t, const struct template_args *args,
                    struct arena *arena, struct template_text *out, struct err *err);

#endif
