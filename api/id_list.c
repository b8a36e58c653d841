/* Token ids, comma by comma.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/id_list.h"

#include <inttypes.h>

void id_list_add(struct buf *list, int32_t id)
{
    buf_printf(list, list->len ? ",%" PRId32 : "%" PRId32, id);
}

void id_list_add_all(struct buf *list, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        id_list_add(list, ids[i]);
}

void id_list_put(const struct buf *list, const char *name, struct buf *out)
{
    buf_printf(out, ",\"%s\":[", name);
    if (list)
        buf_put(out, list->data, list->len);
    buf_putc(out, ']');
    out->failed = out->failed || (list && list->failed);
}
