/* Numbers by the grammar of JSON, so that what was checked can be sent as it is.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/sampling_flags.h"

#include "engine/base/json.h"

static const struct {
    const char *flag, *member;
} rows[SAMPLING_FLAGS_N] = {
    [SAMPLING_MAX_TOKENS] = {"--max-tokens", "max_tokens"},
    [SAMPLING_TEMPERATURE] = {"--temperature", "temperature"},
    [SAMPLING_SEED] = {"--seed", "seed"},
};

/* Reads the text as the one element of an array: a value alone is no document. */
static bool is_number(const char *text)
{
    struct buf list = {0};
    struct json *root = NULL;
    buf_printf(&list, "[%s]", text);
    if (!list.failed)
        json_parse(&root, list.data, list.len, NULL);
    bool good = json_len(root) == 1 && json_numeric(json_at(root, 0));
    json_free(root);
    buf_free(&list);
    return good;
}

int sampling_flags_check(const char *const *values, struct err *err)
{
    for (int i = 0; i < SAMPLING_FLAGS_N; i++)
        if (values[i] && !is_number(values[i]))
            return err_param(err, ERR_ARGUMENT, rows[i].flag,
                             "%s: expected a number, found \"%.80s\"", rows[i].flag,
                             values[i]);
    return 0;
}

void sampling_flags_put(struct buf *body, const char *const *values)
{
    for (int i = 0; i < SAMPLING_FLAGS_N; i++)
        if (values[i])
            buf_printf(body, ",\"%s\":%s", rows[i].member, values[i]);
}
