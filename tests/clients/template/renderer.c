/*
 * renderer: chat templates for the comparison with jinja2.
 *
 * Reads commands from stdin, each a word, a decimal byte count, a newline and the bytes,
 * and answers each with a line "STATUS COUNT" and COUNT bytes.
 *   template N   compiles the bytes; answers ok, or broken with the error
 *   render N     renders with the variables that the bytes, a JSON object, describe;
 *                answers ok with the text, refused with the words of raise_exception, or
 *                failed with the error
 *   marks N      the same, but the answer is a digit a byte: 1 where a message's content,
 *                which has a mark then, was written
 *   time N       the same, but the answer is the median of microseconds of a render
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/template.h"
#include "engine/base/buf.h"
#include "engine/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NOW_S = 1720148649, TIMES = 51, CLIENT = 1 };

struct reader {
    struct arena *arena;
    struct jinja_dict *dict;
    bool marking, marked; /* contents get marks; this is within one */
};

static struct jinja_value value_of(const struct reader *r, const struct json *j);

static struct jinja_value text_of(const struct reader *r, const char *text, size_t len)
{
    return jinja_text(r->arena, arena_strdup(r->arena, text, len), len,
                      r->marked ? CLIENT : 0);
}

static int put_member(void *arg, const char *key, size_t len, const struct json *j)
{
    const struct reader *r = arg;
    struct reader unmarked = *r, inner = *r;
    unmarked.marked = false;
    inner.marked |= r->marking && strcmp(key, "content") == 0;
    jinja_dict_put(r->arena, r->dict, text_of(&unmarked, key, len), value_of(&inner, j));
    return 0;
}

static struct jinja_value dict_of(const struct reader *r, const struct json *j)
{
    struct jinja_value v = jinja_dict(r->arena);
    struct reader inner = *r;
    inner.dict = v.dict;
    json_each(j, put_member, &inner);
    return v;
}

static struct jinja_value list_of(const struct reader *r, const struct json *j)
{
    struct jinja_value v = jinja_list(r->arena);
    for (size_t i = 0; i < json_len(j); i++)
        jinja_list_add(r->arena, v.list, value_of(r, json_at(j, i)));
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
        return list_of(r, j);
    case JK_OBJECT:
        return dict_of(r, j);
    default:
        return jinja_none();
    }
}

static void answer(const char *status, const char *text, size_t len)
{
    printf("%s %zu\n", status, len);
    fwrite(text, 1, len, stdout);
    fflush(stdout);
}

static void answer_err(const char *status, const struct err *err)
{
    answer(status, err->text, strlen(err->text));
}

static void answer_marks(const struct template_text *text)
{
    char *digits = malloc(text->len + 1);
    for (size_t i = 0; digits && i < text->len; i++)
        digits[i] = text->marks && text->marks[i] ? '1' : '0';
    answer("ok", digits, digits ? text->len : 0);
    free(digits);
}

static int by_size(const void *a, const void *b)
{
    return *(const int64_t *)a < *(const int64_t *)b ? -1 : 1;
}

static void answer_time(const struct template *t, const struct template_args *args)
{
    int64_t ns[TIMES];
    char shown[32];
    for (int i = 0; i < TIMES; i++) {
        struct timespec from, to;
        struct arena arena;
        struct template_text text;
        struct err err = {0};
        arena_init(&arena);
        clock_gettime(CLOCK_MONOTONIC, &from);
        template_render(t, args, &arena, &text, &err);
        clock_gettime(CLOCK_MONOTONIC, &to);
        arena_free(&arena);
        ns[i] = (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
    }
    qsort(ns, TIMES, sizeof *ns, by_size);
    answer("ok", shown,
           (size_t)snprintf(shown, sizeof shown, "%.1f", (double)ns[TIMES / 2] / 1e3));
}

static void render(const struct template *t, const char *how,
                   const struct json *variables)
{
    struct arena arena;
    struct err err = {0};
    struct template_text text;
    arena_init(&arena);
    struct reader r = {.arena = &arena, .marking = strcmp(how, "marks") == 0};
    struct template_args args = {.globals = dict_of(&r, variables).dict,
                                 .now_s = NOW_S,
                                 .limits = &template_limits_default};
    int rc = template_render(t, &args, &arena, &text, &err);
    if (rc != 0)
        answer_err(rc == -ERR_ARGUMENT ? "refused" : "failed", &err);
    else if (strcmp(how, "time") == 0)
        answer_time(t, &args);
    else if (r.marking)
        answer_marks(&text);
    else
        answer("ok", text.text, text.len);
    arena_free(&arena);
}

static bool next_command(char word[16], struct buf *bytes)
{
    size_t len;
    if (scanf("%15s %zu", word, &len) != 2 || getchar() != '\n')
        return false;
    buf_reset(bytes);
    if (!buf_reserve(bytes, len) || fread(bytes->data, 1, len, stdin) != len)
        return false;
    bytes->len = len;
    return true;
}

static void compile(struct template **t, const struct buf *source)
{
    struct err err = {0};
    template_free(*t);
    *t = NULL;
    if (template_compile(t, source->data, source->len, &err) == 0)
        answer("ok", "", 0);
    else
        answer_err("broken", &err);
}

int main(void)
{
    char word[16];
    struct template *t = NULL;
    struct buf bytes = {0};
    while (next_command(word, &bytes)) {
        struct json *variables = NULL;
        struct err err = {0};
        if (strcmp(word, "template") == 0)
            compile(&t, &bytes);
        else if (!t || json_parse(&variables, bytes.data, bytes.len, &err) != 0)
            answer_err("failed", &err);
        else
            render(t, word, variables);
        json_free(variables);
    }
    buf_free(&bytes);
    template_free(t);
    return 0;
}
