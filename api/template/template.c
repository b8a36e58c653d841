/*
 * Compiling, keeping and rendering templates. A compiled one is constant: one arena with
 * its source and its tree. Runs on any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/template.h"

#include "api/template/jinja_call.h"
#include "api/template/jinja_parser.h"
#include "api/template/jinja_scope.h"
#include "api/template/jinja_statement.h"
#include "engine/base/mem.h"

#include <string.h>

struct template
{
    struct arena arena; /* owns the source and the tree */
    struct jinja_source source;
    const struct jinja_function *root;
};

const struct template_limits template_limits_default = {
    .steps = 10 * 1000 * 1000,
    .output_bytes = 16 << 20,
    .memory_bytes = 64 << 20,
    .depth = 100,
};

int template_compile(struct template **out, const char *source, size_t len,
                     struct err *err)
{
    *out = NULL;
    struct template *t = mem_zalloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_MEMORY, "out of memory while a template is compiled");
    struct err why = {0};
    arena_init(&t->arena);
    jinja_source_open(&t->source, &t->arena, source, len, &why);
    struct jinja_function *root = t->source.failed ? NULL : jinja_parser(&t->source);
    if (root)
        jinja_scope(&t->source, root);
    t->root = root;
    t->source.err = NULL;
    if (t->source.failed) {
        template_free(t);
        return err_set(err, why.code, "%s", why.text);
    }
    *out = t;
    return 0;
}

void template_free(struct template *t)
{
    if (!t)
        return;
    arena_free(&t->arena);
    mem_free(t);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_';
}

static bool in_comment(const struct jinja_source *s, size_t at)
{
    for (size_t i = 0; i < s->n_comments; i++)
        if (at >= s->comments[i].from && at < s->comments[i].to)
            return true;
    return false;
}

/* A word stands alone; the letter of an escape such as \n is none. */
static bool stands_alone(const struct jinja_source *s, size_t at, size_t len)
{
    const char *text = s->text;
    bool escape = at > 1 && text[at - 2] == '\\';
    return (at == 0 || escape || !is_letter(text[at - 1])) && !is_letter(text[at + len]);
}

bool template_mentions(const struct template *t, const char *word)
{
    const struct jinja_source *s = &t->source;
    size_t len = strlen(word), from = 0;
    const char *at;
    while ((at = memmem(s->text + from, s->len - from, word, len))) {
        from = (size_t)(at - s->text) + 1;
        if (stands_alone(s, from - 1, len) && !in_comment(s, from - 1))
            return true;
    }
    return false;
}

static int finish(struct jinja_render *r, struct jinja_value v, struct template_text *out,
                  struct err *err)
{
    if (r->failed)
        return err_set(err, r->err.code, "%s", r->err.text);
    const struct jinja_string *s = v.string;
    *out = (struct template_text){.text = s->text, .len = s->len, .marks = s->marks};
    if (s->marks || s->mark == 0 || s->len == 0)
        return 0;
    uint16_t *marks = jinja_render_alloc(r, s->len * sizeof *marks);
    if (!marks)
        return err_set(err, r->err.code, "%s", r->err.text);
    for (size_t i = 0; i < s->len; i++)
        marks[i] = s->mark;
    out->marks = marks;
    return 0;
}

int template_render(const struct template *t, const struct template_args *args,
                    struct arena *arena, struct template_text *out, struct err *err)
{
    struct jinja_render r = {.args = args, .arena = arena, .source = t->source.text};
    struct jinja_builder text;
    jinja_string_begin(&text, &r);
    r.out = &text;
    r.here = jinja_call_enter(&r, t->root, NULL);
    if (r.here) {
        jinja_call_load(&r, &t->root->loads);
        jinja_statement_run(&r, &t->root->body);
    }
    return finish(&r, jinja_string_end(&text), out, err);
}
