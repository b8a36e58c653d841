/*
 * Members of values. Runs on the render's thread; fails it for members of what is
 * undefined only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_attribute.h"

#include "api/template/jinja_call.h"
#include "api/template/jinja_loop.h"
#include "api/template/jinja_method.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_sequence.h"

#include <string.h>

static struct jinja_value absent(const struct jinja_string *name)
{
    /* Names of the template are followed by a NUL. */
    return (struct jinja_value){.name = name ? name->text : "an item"};
}

static struct jinja_value method(struct jinja_render *r, struct jinja_value of,
                                 const struct jinja_string *name, bool *found)
{
    const struct jinja_builtin *row = jinja_method_find(of, name->text, name->len);
    *found = row != NULL;
    if (!row || !row->call)
        return (struct jinja_value){.name = row ? row->name : "an attribute"};
    return jinja_call_method(r, row, of);
}

/* What a value has under a name beside its items. */
static struct jinja_value member(struct jinja_render *r, struct jinja_value of,
                                 const struct jinja_string *name, bool *found)
{
    *found = false;
    if (of.kind == JINJA_CALLABLE && of.callable->loop) {
        *found = true;
        return jinja_loop_member(r, of.callable->loop, name);
    }
    if (of.kind != JINJA_NAMESPACE)
        return method(r, of, name, found);
    struct jinja_value v = jinja_dict_get(of.dict, name->text, name->len);
    *found = v.kind != JINJA_UNDEFINED || v.name;
    return v;
}

static struct jinja_value entry(struct jinja_value of, struct jinja_value key,
                                bool *found)
{
    const struct jinja_entry *e =
        of.kind == JINJA_DICT ? jinja_dict_find(of.dict, key) : NULL;
    *found = e != NULL;
    return e ? e->value : (struct jinja_value){0};
}

struct jinja_value jinja_attribute(struct jinja_render *r, struct jinja_value of,
                                   const struct jinja_string *name)
{
    bool found;
    if (of.kind == JINJA_UNDEFINED)
        return jinja_operator_undefined(r, of);
    struct jinja_value v = member(r, of, name, &found);
    if (found)
        return v;
    v = entry(of, (struct jinja_value){.kind = JINJA_STRING, .string = name}, &found);
    return found ? v : absent(name);
}

struct jinja_value jinja_attribute_item(struct jinja_render *r, struct jinja_value of,
                                        struct jinja_value key)
{
    bool found;
    if (of.kind == JINJA_UNDEFINED)
        return jinja_operator_undefined(r, of);
    struct jinja_value v = entry(of, key, &found);
    if (found)
        return v;
    if (key.kind == JINJA_INT || key.kind == JINJA_BOOL) {
        int64_t i = key.kind == JINJA_INT ? key.integer : key.truth;
        return jinja_sequence_at(r, of, i, &v) ? v : absent(NULL);
    }
    if (key.kind != JINJA_STRING)
        return absent(NULL);
    v = member(r, of, key.string, &found);
    return found ? v : absent(NULL);
}

static bool is_number(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return len > 0 && len < 18;
}

static int64_t number_of(const char *s, size_t len)
{
    int64_t x = 0;
    for (size_t i = 0; i < len; i++)
        x = x * 10 + (s[i] - '0');
    return x;
}

struct jinja_value jinja_attribute_path(struct jinja_render *r, struct jinja_value v,
                                        struct jinja_value path)
{
    if (path.kind == JINJA_NONE)
        return v;
    if (path.kind != JINJA_STRING)
        return jinja_attribute_item(r, v, path);
    const char *s = path.string->text, *end = s + path.string->len;
    while (!r->failed) {
        const char *dot = memchr(s, '.', (size_t)(end - s));
        struct jinja_string part = {.text = s, .len = (size_t)((dot ? dot : end) - s)};
        struct jinja_value key = {.kind = JINJA_STRING, .string = &part};
        if (is_number(part.text, part.len))
            key = jinja_int(number_of(part.text, part.len));
        v = jinja_attribute_item(r, v, key);
        if (!dot)
            break;
        s = dot + 1;
    }
    return v;
}
