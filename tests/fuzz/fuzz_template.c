/*
 * Chat templates: compiler and interpreter on bytes. The input is JSON variables, a NUL
 * and the source; both may be broken. Limits are small, so that a template that loops or
 * explodes ends at one of them. What was rendered is valid UTF-8, within its limit, and
 * the same a second time, and every mark is one that went in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/template.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUT_BYTES = 16 << 10, MEMORY_BYTES = 4 << 20, NESTING = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reader {
    struct arena *arena;
    struct jinja_dict *dict;
    size_t message;
    int depth;
};

static struct jinja_value value_of(const struct reader *r, const struct json *j);

static void differ(const char *what)
{
    fprintf(stderr, "%s\n", what);
    abort();
}

static struct jinja_value text_of(const struct reader *r, const char *text, size_t len)
{
    char *exact = arena_alloc(r->arena, len ? len : 1); /* without a NUL behind it */
    memcpy(exact, text, len);
    return jinja_text(r->arena, exact, len, jinja_mark(r->message, r->message % 2));
}

static int put_member(void *arg, const char *key, size_t len, const struct json *j)
{
    const struct reader *r = arg;
    jinja_dict_put(r->arena, r->dict, text_of(r, key, len), value_of(r, j));
    return 0;
}

static struct jinja_value container_of(const struct reader *r, const struct json *j)
{
    struct reader inner = *r;
    inner.depth++;
    if (json_kind(j) == JK_OBJECT) {
        struct jinja_value v = jinja_dict(r->arena);
        inner.dict = v.dict;
        json_each(j, put_member, &inner);
        return v;
    }
    struct jinja_value v = jinja_list(r->arena);
    for (size_t i = 0; i < json_len(j); i++) {
        inner.message = i;
        jinja_list_add(r->arena, v.list, value_of(&inner, json_at(j, i)));
    }
    return v;
}

static struct jinja_value value_of(const struct reader *r, const struct json *j)
{
    size_t len;
    const char *text;
    switch (json_kind(j)) {
    case JK_BOOL:
        return jinja_bool(json_as_bool(j));
    case JK_INT:
        return jinja_int(json_as_int(j));
    case JK_REAL:
        return jinja_real(json_as_number(j));
    case JK_STRING:
        text = json_as_string(j, &len);
        return text_of(r, text, len);
    case JK_ARRAY:
    case JK_OBJECT:
        return r->depth < NESTING ? container_of(r, j) : jinja_none();
    default:
        return jinja_none();
    }
}

static void check(const struct template_text *text)
{
    if (text->len > OUTPUT_BYTES || text->text[text->len] != '\0')
        differ("a text beyond its limit, or without its NUL");
    if (!utf8_valid(text->text, text->len))
        differ("a text that is no UTF-8");
    for (size_t i = 0; text->marks && i < text->len; i++)
        if (text->marks[i] == JINJA_MARK_ASSISTANT)
            differ("a mark of no message");
}

static bool same(const struct template_text *a, const struct template_text *b)
{
    if (a->len != b->len || !a->marks != !b->marks ||
        memcmp(a->text, b->text, a->len) != 0)
        return false;
    return !a->marks || memcmp(a->marks, b->marks, a->len * sizeof *a->marks) == 0;
}

static void render_twice(const struct template *t, struct arena *arena,
                         const struct jinja_dict *globals)
{
    static const struct template_limits limits = {.steps = 1 << 14,
                                                  .output_bytes = OUTPUT_BYTES,
                                                  .memory_bytes = MEMORY_BYTES,
                                                  .depth = 32};
    struct template_args args = {
        .globals = globals, .now_s = 1720148649, .limits = &limits};
    struct template_text text[2];
    struct err err[2] = {{0}};
    int rc[2];
    for (int i = 0; i < 2; i++)
        rc[i] = template_render(t, &args, arena, &text[i], &err[i]);
    /* The second finds less memory in the arena. */
    if (rc[0] == 0 && rc[1] == 0 && !same(&text[0], &text[1]))
        differ("another text the second time");
    if (rc[0] == 0)
        check(&text[0]);
}

static void run(const struct json *variables, const char *source, size_t len)
{
    struct arena arena;
    struct err err = {0};
    struct template *t = NULL;
    arena_init(&arena);
    struct reader r = {.arena = &arena};
    struct jinja_value globals = json_kind(variables) == JK_OBJECT
                                     ? container_of(&r, variables)
                                     : jinja_dict(&arena);
    if (template_compile(&t, source, len, &err) == 0) {
        render_twice(t, &arena, globals.dict);
        template_mentions(t, "developer");
    }
    template_free(t);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *variables = NULL;
    struct err err = {0};
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t before = nul ? (size_t)(nul - data) : 0, from = nul ? before + 1 : 0;
    char *exact = mem_alloc(size - from ? size - from : 1); /* for the sanitizer */
    memcpy(exact, data + from, size - from);
    json_parse(&variables, (const char *)data, before, &err);
    run(variables, exact, size - from);
    json_free(variables);
    mem_free(exact);
    return 0;
}
