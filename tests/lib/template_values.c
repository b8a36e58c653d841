/*
 * A render without a template.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/template_values.h"

#include "engine/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void template_values_open(struct template_values *t)
{
    *t = (struct template_values){.limits = {.steps = 1 << 20,
                                             .output_bytes = 4096,
                                             .memory_bytes = 1 << 20,
                                             .depth = 16}};
    t->args.limits = &t->limits;
    t->render = (struct jinja_render){.args = &t->args, .arena = &t->arena};
    arena_init(&t->arena);
}

void template_values_close(struct template_values *t)
{
    arena_free(&t->arena);
}

struct jinja_value template_values_text(struct template_values *t, const char *shown)
{
    struct jinja_builder b;
    jinja_string_begin(&b, &t->render);
    while (*shown) {
        char *end = (char *)shown;
        uint16_t mark = *shown == '<' ? (uint16_t)strtoul(shown + 1, &end, 10) : 0;
        bool marked = end > shown && *end == '|';
        const char *from = marked ? end + 1 : shown;
        size_t len = marked ? strcspn(from, ">") : 1 + strcspn(from + 1, "<");
        jinja_string_put(&b, from, len, marked ? mark : 0);
        shown = from + len + marked;
    }
    struct jinja_value v = jinja_string_end(&b);
    assert_false(t->render.failed);
    return v;
}

struct filling {
    struct template_values *t;
    struct jinja_dict *dict;
};

static struct jinja_value value_of(struct template_values *t, const struct json *j);

static int put_member(void *arg, const char *key, size_t len, const struct json *j)
{
    struct filling *f = arg;
    char *name = arena_strdup(&f->t->arena, key, len);
    struct jinja_value k = jinja_text(&f->t->arena, name, len, 0);
    assert_true(jinja_dict_put(&f->t->arena, f->dict, k, value_of(f->t, j)));
    return 0;
}

static struct jinja_value text_of(struct template_values *t, const struct json *j)
{
    size_t len;
    const char *text = json_as_string(j, &len);
    return jinja_text(&t->arena, arena_strdup(&t->arena, text, len), len, 0);
}

static struct jinja_value list_of(struct template_values *t, const struct json *j)
{
    struct jinja_value v = jinja_list(&t->arena);
    for (size_t i = 0; i < json_len(j); i++)
        assert_true(jinja_list_add(&t->arena, v.list, value_of(t, json_at(j, i))));
    return v;
}

static struct jinja_value dict_of(struct template_values *t, const struct json *j)
{
    struct jinja_value v = jinja_dict(&t->arena);
    json_each(j, put_member, &(struct filling){t, v.dict});
    return v;
}

static struct jinja_value value_of(struct template_values *t, const struct json *j)
{
    switch (json_kind(j)) {
    case JK_BOOL:
        return jinja_bool(json_as_bool(j));
    case JK_INT:
        return jinja_int(json_as_int(j));
    case JK_REAL:
        return jinja_real(json_as_number(j));
    case JK_STRING:
        return text_of(t, j);
    case JK_ARRAY:
        return list_of(t, j);
    case JK_OBJECT:
        return dict_of(t, j);
    default:
        return jinja_none();
    }
}

struct jinja_value template_values_json(struct template_values *t, const char *json)
{
    struct json *j = NULL;
    struct err err = {0};
    char *array = arena_alloc(&t->arena, strlen(json) + 3); /* also scalars */
    sprintf(array, "[%s]", json);
    assert_int_equal(json_parse(&j, array, strlen(array), &err), 0);
    struct jinja_value v = value_of(t, json_at(j, 0));
    json_free(j);
    return v;
}

const char *template_values_shown(struct template_values *t, struct jinja_value v)
{
    size_t len = v.kind == JINJA_STRING ? v.string->len : 0;
    char *out = arena_alloc(&t->arena, 9 * len + sizeof t->render.err), *end = out;
    if (t->render.failed) {
        sprintf(out, "failed: %s", t->render.err.text);
        t->render.failed = false;
        return out;
    }
    assert_int_equal(v.kind, JINJA_STRING);
    const struct jinja_string *s = v.string;
    uint16_t mark = 0;
    for (size_t i = 0; i < len; i++) {
        uint16_t now = jinja_string_mark(s, i);
        if (now != mark && mark)
            *end++ = '>';
        if (now != mark && now)
            end += sprintf(end, "<%u|", now);
        mark = now;
        *end++ = s->text[i];
    }
    strcpy(end, mark ? ">" : "");
    return out;
}
