/*
 * An intrusive binary heap: the first element in O(1), any element out or moved in
 * O(log n), because each knows its place. One owner. The heap owns its array of pointers,
 * never the elements. Room is reserved beforehand, so that inserting cannot fail.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_BASE_HEAP_H
#define ENGINE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint32_t at; /* its place, counted from 1; 0: in no heap */
};

/* Whether a comes out before b: a strict order. */
typedef bool heap_before_fn(const struct heap_node *a, const struct heap_node *b);

struct heap {                 /* zeroed but for before = empty, without room */
    struct heap_node **nodes; /* owns; [cap] */
    uint32_t n, cap;
    heap_before_fn *before;
};

/* The element that holds node n in its member m. */
#define HEAP_OF(n, type, m) ((type *)(void *)((char *)(n)-offsetof(type, m)))

/* Room for n elements at least. False: out of memory, and the heap is as it was. */
bool heap_reserve(struct heap *h, size_t n);
void heap_free(struct heap *h); /* the array; the elements still say where they were */

struct heap_node *heap_first(const struct heap *h);       /* NULL: empty */
void heap_insert(struct heap *h, struct heap_node *node); /* into reserved room */
void heap_remove(struct heap *h, struct heap_node *node); /* accepts one that is out */
void heap_update(struct heap *h, struct heap_node *node); /* its key has changed; same */

#endif
