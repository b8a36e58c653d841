/* A text and its marks grow side by side; arguments are parsed where the form takes them
 * one by one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_calls.h"

#include "api/body.h"
#include "api/chat_value.h"
#include "engine/base/buf.h"

#include <string.h>

struct writer {
    struct arena *arena;
    struct buf text, marks; /* own; a uint16_t a byte */
    uint16_t mark;          /* of what the client wrote */
    bool failed;
};

static void put(struct writer *w, const char *text, size_t len, uint16_t mark)
{
    buf_put(&w->text, text, len);
    for (size_t i = 0; i < len; i++)
        buf_put(&w->marks, &mark, sizeof mark);
}

static void put_own(struct writer *w, const char *text)
{
    put(w, text, strlen(text), 0);
}

static void put_content(struct writer *w, const struct jinja_string *s)
{
    for (size_t i = 0; i < s->len; i++)
        put(w, s->text + i, 1, s->marks ? s->marks[i] : s->mark);
}

static bool every_name(const void *arg, const struct value *name)
{
    (void)arg;
    (void)name;
    return true;
}

/* A value as Python has it; what is inside of lists and objects stays JSON. */
static int put_value(struct writer *w, const struct value *v)
{
    static const char *const words[] = {"None", "False", "True"};
    struct body_path at = body_path_member(NULL, "arguments");
    struct chat_text json;
    if (value_kind(v) == VALUE_NULL || value_kind(v) == VALUE_BOOL) {
        const char *word = words[value_kind(v) == VALUE_NULL ? 0 : 1 + value_bool(v)];
        put(w, word, strlen(word), w->mark);
        return 0;
    }
    int rc = chat_value_json(w->arena, &at, v, &json, NULL);
    if (rc == 0)
        put(w, json.text, json.len, w->mark);
    return rc;
}

/* a=1, b="x". */
static int put_keywords(struct writer *w, const struct value *object)
{
    const struct value *name = value_first(object);
    int rc = 0;
    for (size_t i = 0; i < value_len(object) && !rc; i++, name = value_next(name)) {
        char *key = value_text(name, w->arena);
        if (!key)
            return -ERR_MEMORY;
        put_own(w, i ? ", " : "");
        put(w, key, value_text_len(name), w->mark);
        put_own(w, "=");
        rc = put_value(w, value_of(name));
    }
    return rc;
}

/* What is no object stands there as it was sent. */
static void put_python_call(struct writer *w, const struct chat_call *c)
{
    struct body b = {0};
    put(w, c->name.text, c->name.len, w->mark);
    put_own(w, "(");
    int rc = body_parse(&b, c->arguments.text, c->arguments.len, every_name, NULL, NULL);
    if (rc == 0)
        rc = put_keywords(w, b.values);
    else if (rc != -ERR_MEMORY)
        put(w, c->arguments.text, c->arguments.len, w->mark);
    body_free(&b);
    w->failed = w->failed || rc == -ERR_MEMORY;
    put_own(w, ")");
}

static void put_json_call(struct writer *w, const struct chat_call *c)
{
    struct buf name = {0};
    bool blank = strspn(c->arguments.text, " \t\r\n") == c->arguments.len;
    buf_json_string(&name, c->name.text, c->name.len);
    put_own(w, "{\"name\": ");
    if (name.failed)
        w->failed = true;
    else
        put(w, name.data, name.len, w->mark);
    put_own(w, ", \"arguments\": ");
    put(w, blank ? "{}" : c->arguments.text, blank ? 2 : c->arguments.len, w->mark);
    put_own(w, "}");
    buf_free(&name);
}

static const struct form {
    const char *begin, *end;
    void (*put)(struct writer *, const struct chat_call *);
} forms[TOOL_FORMAT_N] = {
    [TOOL_FORMAT_LFM2] = {"<|tool_call_start|>[", "]<|tool_call_end|>", put_python_call},
    [TOOL_FORMAT_JSON_LIST] = {"<|tool_call|>[", "]", put_json_call},
};

bool chat_calls_known(enum tool_format format)
{
    return forms[format].put != NULL;
}

/* As a string in the arena. */
static struct jinja_value finish(struct writer *w)
{
    struct jinja_value none = {.kind = JINJA_UNDEFINED};
    struct jinja_string *s = arena_zalloc(w->arena, 1, sizeof *s);
    uint16_t *marks = arena_alloc(w->arena, w->marks.len);
    char *text =
        w->text.failed ? NULL : arena_strdup(w->arena, w->text.data, w->text.len);
    if (!s || !marks || !text || w->marks.failed || w->failed)
        return none;
    memcpy(marks, w->marks.data, w->marks.len);
    *s = (struct jinja_string){.text = text, .len = w->text.len, .marks = marks};
    return (struct jinja_value){.kind = JINJA_STRING, .string = s};
}

struct jinja_value chat_calls_write(struct arena *arena, enum tool_format format,
                                    const struct jinja_string *content,
                                    const struct chat_message *m, uint16_t mark)
{
    const struct form *form = &forms[format];
    struct writer w = {.arena = arena, .mark = mark};
    put_content(&w, content);
    put_own(&w, form->begin);
    for (size_t i = 0; i < m->n_calls; i++) {
        put_own(&w, i ? ", " : "");
        form->put(&w, &m->calls[i]);
    }
    put_own(&w, form->end);
    struct jinja_value v = finish(&w);
    buf_free(&w.text);
    buf_free(&w.marks);
    return v;
}
