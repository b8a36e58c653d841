/* Names are told apart when all are there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_args.h"

#include "engine/base/map.h"
#include "engine/base/mem.h"

void tool_args_free(struct tool_args *a)
{
    buf_free(&a->text);
    mem_free(a->all);
    *a = (struct tool_args){0};
}

void tool_args_begin(struct tool_args *a)
{
    buf_reset(&a->text);
    a->n = 0;
}

static bool grow(struct tool_args *a)
{
    size_t size = a->cap * sizeof *a->all, more = size ? 2 * size : 8 * sizeof *a->all;
    if (a->n < a->cap)
        return true;
    struct tool_arg *grown = mem_grow(a->all, size, more);
    if (!grown)
        return false;
    a->all = grown;
    a->cap = more / sizeof *a->all;
    return true;
}

static void end_value(struct tool_args *a)
{
    if (a->n)
        a->all[a->n - 1].value.end = a->text.len;
}

struct buf *tool_args_add(struct tool_args *a, const char *name, size_t len)
{
    end_value(a);
    size_t at = a->text.len;
    buf_put(&a->text, name, len);
    if (!grow(a)) {
        a->text.failed = true;
        return &a->text;
    }
    a->all[a->n++] = (struct tool_arg){{at, at + len}, {at + len, at + len}};
    return &a->text;
}

/* Leaves each name once, where it stood first; false: out of memory. */
static bool unite(struct tool_args *a)
{
    struct strmap places;
    size_t kept = 0;
    bool ok = strmap_init(&places, a->n);
    for (size_t i = 0; ok && i < a->n; i++) {
        struct tool_arg arg = a->all[i];
        const char *name = a->text.data + arg.name.at;
        size_t len = arg.name.end - arg.name.at;
        int32_t place = strmap_get(&places, name, len, -1);
        if (place >= 0)
            a->all[place].value = arg.value;
        else if ((ok = strmap_put(&places, name, len, (int32_t)kept)))
            a->all[kept++] = arg;
    }
    a->n = ok ? kept : a->n;
    strmap_free(&places);
    return ok;
}

bool tool_args_write(struct tool_args *a, struct buf *out)
{
    end_value(a);
    if (a->text.failed || (a->n > 1 && !unite(a)))
        return false;
    buf_putc(out, '{');
    for (size_t i = 0; i < a->n; i++) {
        struct tool_arg arg = a->all[i];
        if (i)
            buf_puts(out, ", ");
        buf_json_string(out, a->text.data + arg.name.at, arg.name.end - arg.name.at);
        buf_puts(out, ": ");
        buf_put(out, a->text.data + arg.value.at, arg.value.end - arg.value.at);
    }
    buf_putc(out, '}');
    return !out->failed;
}
