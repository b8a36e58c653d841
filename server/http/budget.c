/* The sum and its limit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/http/budget.h"

#include <assert.h>

bool budget_take(struct budget *b, size_t bytes)
{
    if (b->used > b->limit || bytes > b->limit - b->used)
        return false;
    b->used += bytes;
    return true;
}

void budget_add(struct budget *b, size_t bytes)
{
    b->used += bytes;
}

void budget_recount(struct budget *b, size_t *held, size_t bytes)
{
    budget_add(b, bytes);
    budget_give(b, *held);
    *held = bytes;
}

void budget_give(struct budget *b, size_t bytes)
{
    assert(bytes <= b->used);
    b->used -= bytes;
}
