/* Model objects. One process serves one model, under one or more names.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/models.h"

#include <inttypes.h>
#include <string.h>

static void put_model(const struct api_limits *limits, int64_t created, const char *id,
                      struct buf *out)
{
    buf_puts(out, "{\"id\":");
    buf_json_string(out, id, strlen(id));
    buf_printf(out,
               ",\"object\":\"model\",\"created\":%" PRId64
               ",\"owned_by\":\"ssmd\",\"max_model_len\":%d}",
               created, limits->context_tokens);
}

void models_list(const struct api_limits *limits, int64_t created, struct buf *out)
{
    buf_puts(out, "{\"object\":\"list\",\"data\":[");
    put_model(limits, created, limits->served_name, out);
    for (size_t i = 0; i < limits->n_other_names; i++) {
        buf_putc(out, ',');
        put_model(limits, created, limits->other_names[i], out);
    }
    buf_puts(out, "]}");
}

/* The served name that name[0..len) is, or NULL. */
static const char *find(const struct api_limits *limits, const char *name, size_t len)
{
    const char *id = limits->served_name;
    for (size_t i = 0; strlen(id) != len || memcmp(name, id, len) != 0; i++) {
        if (i == limits->n_other_names)
            return NULL;
        id = limits->other_names[i];
    }
    return id;
}

int models_one(const struct api_limits *limits, int64_t created, const char *id,
               size_t len, struct buf *out, struct err *err)
{
    int rc = models_check(limits, id, len, err);
    if (rc == 0)
        put_model(limits, created, find(limits, id, len), out);
    return rc;
}

int models_check(const struct api_limits *limits, const char *name, size_t len,
                 struct err *err)
{
    if (find(limits, name, len))
        return 0;
    return err_param(err, ERR_MODEL, "model",
                     "no such model: `%.*s`; `%s` is served here",
                     (int)(len < 100 ? len : 100), name, limits->served_name);
}
