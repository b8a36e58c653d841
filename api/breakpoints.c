/* What the reader cannot know, how many tokens a text is, is checked when it is encoded.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/breakpoints.h"

#include <inttypes.h>

static int check_one(const struct field *f, const struct value *x, size_t i, int64_t last,
                     struct err *err)
{
    char shown[FIELDS_SHOWN];
    int64_t depth = value_int(x);
    if (value_kind(x) == VALUE_INT && depth > last && depth <= INT32_MAX)
        return 0;
    fields_show(x, shown);
    return err_param(err, ERR_ARGUMENT, f->name,
                     "`%s[%zu]` must be a number of tokens above %" PRId64 ", not %s",
                     f->name, i, last, shown);
}

int breakpoints_read(struct fields_ctx *ctx, const struct field *f, const struct value *v,
                     void *into, struct err *err)
{
    struct breakpoints *out = (struct breakpoints *)(void *)((char *)into + f->at);
    size_t n = value_len(v);
    if (value_kind(v) != VALUE_ARRAY)
        return fields_wrong(err, f->name, "an array of numbers of tokens", v);
    if (n > BREAKPOINTS_MAX)
        return err_param(err, ERR_ARGUMENT, f->name,
                         "`%s` may hold %d numbers of tokens, not %zu", f->name,
                         BREAKPOINTS_MAX, n);
    int32_t *depths = arena_alloc(ctx->arena, (n + 1) * sizeof *depths);
    if (!depths)
        return err_set(err, ERR_MEMORY, "out of memory");
    const struct value *x = value_first(v);
    for (size_t i = 0; i < n; i++, x = value_next(x)) {
        int rc = check_one(f, x, i, i ? depths[i - 1] : 0, err);
        if (rc)
            return rc;
        depths[i] = (int32_t)value_int(x);
    }
    *out = (struct breakpoints){depths, n};
    return 0;
}

int breakpoints_check(const struct breakpoints *b, size_t n_ids, struct err *err)
{
    for (size_t i = 0; i < b->n; i++)
        if ((size_t)b->depths[i] > n_ids)
            return err_param(err, ERR_ARGUMENT, "cache_breakpoints",
                             "`cache_breakpoints[%zu]` is %" PRId32
                             ", beyond the prompt of %zu tokens",
                             i, b->depths[i], n_ids);
    return 0;
}
