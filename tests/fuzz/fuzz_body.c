/*
 * Bodies as parsed here against the JSON library's own reading of them: both accept or
 * both refuse, and what they hold is the same. They may differ in numbers beyond 64 bits
 * or a double, which only the library refuses, in bodies that are no object, and in a NUL
 * byte behind a number, which the library overlooks. The first byte says whether all
 * members are known or none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/body.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void differ(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err ? err->text : "");
    abort();
}

static bool known(const void *arg, const struct value *name)
{
    (void)name;
    return *(const bool *)arg;
}

static void same(const struct value *v, const struct json *j);

static void same_string(const struct value *v, const char *text, size_t len)
{
    struct arena a;
    arena_init(&a);
    const char *mine = value_text(v, &a);
    if (value_text_len(v) != len || memcmp(mine, text, len) != 0)
        differ("a string", NULL);
    arena_free(&a);
}

struct member {
    const struct value *name;
};

static int same_member(void *arg, const char *key, size_t len, const struct json *j)
{
    struct member *m = arg;
    same_string(m->name, key, len);
    same(value_of(m->name), j);
    m->name = value_next(m->name);
    return 0;
}

static void same_elements(const struct value *v, const struct json *j)
{
    if (value_len(v) != json_len(j))
        differ("a length", NULL);
    if (json_kind(j) == JK_OBJECT) {
        struct member m = {value_first(v)};
        json_each(j, same_member, &m);
        return;
    }
    const struct value *x = value_first(v);
    for (size_t i = 0; i < json_len(j); i++, x = value_next(x))
        same(x, json_at(j, i));
}

static void same(const struct value *v, const struct json *j)
{
    static const enum value_kind kinds[] = {
        [JK_NULL] = VALUE_NULL,    [JK_BOOL] = VALUE_BOOL,     [JK_INT] = VALUE_INT,
        [JK_REAL] = VALUE_REAL,    [JK_STRING] = VALUE_STRING, [JK_ARRAY] = VALUE_ARRAY,
        [JK_OBJECT] = VALUE_OBJECT};
    if (value_kind(v) != kinds[json_kind(j)])
        differ("a kind", NULL);
    if (value_bool(v) != json_as_bool(j) || value_int(v) != json_as_int(j) ||
        (json_numeric(j) && value_number(v) != json_as_number(j)))
        differ("a number", NULL);
    size_t len;
    const char *text = json_as_string(j, &len);
    if (text)
        same_string(v, text, len);
    same_elements(v, j);
}

static void compare(const char *text, size_t len, bool all)
{
    struct body b;
    struct json *j = NULL;
    struct err mine = {0}, other = {0};
    int rc = body_parse(&b, text, len, known, &all, &mine);
    int jrc = json_parse(&j, text, len, &other);
    if (rc == 0 && jrc == 0 && all)
        same(b.values, j);
    if (rc == 0 && jrc != 0 && !strstr(other.text, "too big") &&
        !strstr(other.text, "overflow") && !strstr(other.text, "too small"))
        differ("refused by the library", &other);
    if (rc != 0 && jrc == 0 && json_kind(j) == JK_OBJECT && !memchr(text, '\0', len))
        differ("refused here", &mine);
    if (rc == 0)
        body_free(&b);
    json_free(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t len = size - 1;
    char *text = mem_alloc(len); /* exactly as long, for the sanitizer */
    memcpy(text, data + 1, len);
    compare(text, len, data[0] & 1);
    mem_free(text);
    return 0;
}
