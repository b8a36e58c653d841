/* Token ids as the elements of a JSON array, gathered one by one in a buf.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef API_ID_LIST_H
#define API_ID_LIST_H

#include "engine/base/buf.h"

#include <stddef.h>
#include <stdint.h>

void id_list_add(struct buf *list, int32_t id);
void id_list_add_all(struct buf *list, const int32_t *ids, size_t n);

/* Appends ,"name":[…]; a NULL list is empty. A list that failed fails out. */
void id_list_put(const struct buf *list, const char *name, struct buf *out);

#endif
