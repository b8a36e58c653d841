/*
 * The functions that every template has. Runs on the render's thread; there is no clock:
 * the time is the render's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_global.h"

#include "api/template/jinja_call.h"
#include "api/template/jinja_print.h"
#include "api/template/jinja_sequence.h"
#include "api/template/jinja_time.h"

enum { RANGE_MOST = 100000 }; /* the sandbox's */

/* Pairs of an iterable, each of a key and a value, into the dict. */
static void put_pairs(struct jinja_render *r, struct jinja_dict *d,
                      struct jinja_value from)
{
    struct jinja_cursor c;
    struct jinja_value pair, list;
    if (!jinja_sequence_begin(r, from, &c))
        return;
    while (jinja_sequence_next(r, &c, &pair)) {
        list = jinja_sequence_list(r, pair);
        if (!r->failed && list.list->n != 2)
            jinja_render_fail(r, "a dict takes pairs, found %zu values", list.list->n);
        if (!r->failed)
            jinja_render_put(r, d, list.list->items[0], list.list->items[1]);
    }
}

static struct jinja_value make_dict(struct jinja_render *r, struct jinja_value self,
                                    const struct jinja_args *args)
{
    (void)self;
    struct jinja_value v = jinja_render_dict(r);
    if (args->n > 1)
        return jinja_render_fail(r, "dict() takes at most 1 argument, %zu are given",
                                 args->n);
    if (!r->failed && args->n == 1 && args->at[0].kind == JINJA_DICT)
        for (size_t i = 0; i < args->at[0].dict->n && !r->failed; i++)
            jinja_render_put(r, v.dict, args->at[0].dict->entries[i].key,
                             args->at[0].dict->entries[i].value);
    else if (!r->failed && args->n == 1)
        put_pairs(r, v.dict, args->at[0]);
    for (size_t i = 0; i < args->n_named && !r->failed; i++)
        jinja_render_put(r, v.dict, args->named[i].name, args->named[i].value);
    return v;
}

static struct jinja_value make_namespace(struct jinja_render *r, struct jinja_value self,
                                         const struct jinja_args *args)
{
    struct jinja_value v = make_dict(r, self, args);
    if (!r->failed)
        v.kind = JINJA_NAMESPACE;
    return v;
}

/* Numbers from `start` on, before `stop`. */
static size_t range_len(int64_t start, int64_t stop, int64_t step)
{
    if (step > 0 && start < stop)
        return (size_t)(((uint64_t)stop - (uint64_t)start - 1) / (uint64_t)step) + 1;
    if (step < 0 && start > stop)
        return (size_t)(((uint64_t)start - (uint64_t)stop - 1) / -(uint64_t)step) + 1;
    return 0;
}

static struct jinja_value make_range(struct jinja_render *r, struct jinja_value self,
                                     const struct jinja_args *args)
{
    (void)self;
    bool alone = !args->param[1];
    int64_t first = jinja_builtin_int(r, args, 0, 0);
    int64_t start = alone ? 0 : first,
            stop = alone ? first : jinja_builtin_int(r, args, 1, 0);
    int64_t step = jinja_builtin_int(r, args, 2, 1);
    if (step == 0)
        return jinja_render_fail(r, "range() arg 3 must not be zero");
    size_t n = range_len(start, stop, step);
    if (n > RANGE_MOST)
        return jinja_render_fail(r, "a range of %zu numbers, at most %d", n, RANGE_MOST);
    struct jinja_range *range = jinja_render_alloc(r, sizeof *range);
    if (!range)
        return (struct jinja_value){0};
    *range = (struct jinja_range){start, stop, step, n};
    return (struct jinja_value){.kind = JINJA_RANGE, .range = range};
}

static struct jinja_value raise(struct jinja_render *r, struct jinja_value self,
                                const struct jinja_args *args)
{
    (void)self;
    const struct jinja_string *text = jinja_builtin_str(r, *args->param[0]);
    return jinja_render_fail_as(r, ERR_ARGUMENT, text->text, text->len);
}

static struct jinja_value strftime_now(struct jinja_render *r, struct jinja_value self,
                                       const struct jinja_args *args)
{
    (void)self;
    const struct jinja_string *format = jinja_builtin_text(r, args, 0);
    return r->failed ? (struct jinja_value){0} : jinja_time(r, format, r->args->now_s);
}

static const struct jinja_builtin rows[] = {
    {"namespace", make_namespace, "*", 0},       {"dict", make_dict, "*", 0},
    {"range", make_range, "start stop step", 1}, {"raise_exception", raise, "message", 1},
    {"strftime_now", strftime_now, "format", 1},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static const struct jinja_callable functions[N_ROWS] = {
    {.row = &rows[0]}, {.row = &rows[1]}, {.row = &rows[2]},
    {.row = &rows[3]}, {.row = &rows[4]},
};

struct jinja_value jinja_global_find(struct jinja_render *r, const char *name, size_t len)
{
    struct jinja_value v = jinja_dict_get(r->args->globals, name, len);
    if (v.kind != JINJA_UNDEFINED)
        return v;
    const struct jinja_builtin *row = jinja_builtin_find(rows, N_ROWS, name, len);
    if (!row)
        return v;
    return (struct jinja_value){.kind = JINJA_CALLABLE,
                                .callable = &functions[row - rows]};
}
