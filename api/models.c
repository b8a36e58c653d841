/* Model objects. One process serves one model.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/models.h"

#include <inttypes.h>
#include <string.h>

static void put_model(const struct api_limits *limits, int64_t created, struct buf *out)
{
    buf_puts(out, "{\"id\":");
    buf_json_string(out, limits->served_name, strlen(limits->served_name));
    buf_printf(out,
               ",\"object\":\"model\",\"created\":%" PRId64
               ",\"owned_by\":\"ssmd\",\"max_model_len\":%d}",
               created, limits->context_tokens);
}

void models_list(const struct api_limits *limits, int64_t created, struct buf *out)
{
    buf_puts(out, "{\"object\":\"list\",\"data\":[");
    put_model(limits, created, out);
    buf_puts(out, "]}");
}

int models_one(const struct api_limits *limits, int64_t created, const char *id,
               size_t len, struct buf *out, struct err *err)
{
    int rc = models_check(limits, id, len, err);
    if (rc == 0)
        put_model(limits, created, out);
    return rc;
}

int models_check(const struct api_limits *limits, const char *name, size_t len,
                 struct err *err)
{
    if (len == strlen(limits->served_name) && memcmp(name, limits->served_name, len) == 0)
        return 0;
    return err_param(err, ERR_MODEL, "model",
                     "no such model: `%.*s`; `%s` is served here",
                     (int)(len < 100 ? len : 100), name, limits->served_name);
}
