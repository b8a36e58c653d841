/* An intrusive doubly linked list: a head and, in each element, a node. A node is in one
 * list at most; an unlinked node points at itself. Nothing here allocates or owns.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_BASE_LIST_H
#define ENGINE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

/* The element that holds node n in its member m. */
#define LIST_OF(n, type, m) ((type *)(void *)((char *)(n)-offsetof(type, m)))

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_push_before(struct list *at, struct list *n)
{
    n->next = at;
    n->prev = at->prev;
    at->prev->next = n;
    at->prev = n;
}

static inline void list_push(struct list *head, struct list *n) /* at the tail */
{
    list_push_before(head, n);
}

static inline void list_remove(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

static inline struct list *list_pop(struct list *head) /* first, or NULL */
{
    if (list_empty(head))
        return NULL;
    struct list *n = head->next;
    list_remove(n);
    return n;
}

#endif
