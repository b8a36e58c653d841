/*
 * The order in which checkpoints are evicted: a heap by priority, updated when a checkpoint
 * is entered, hit or evicted. Engine thread only; allocates at open alone.
 *
 * The order is that of time since use and tokens saved per byte. A score that grows with
 * the clock would reorder the heap by itself, so the clock is the eviction itself
 * (Greedy-Dual-Size: Cao and Irani, "Cost-Aware WWW Proxy Caching Algorithms", USITS
 * 1997, section 4; with hits as a factor: Cherkasova, HPL-98-69R1, 1998):
 *
 *   priority = inflation when it was last used + tokens it saves per byte
 *   inflation = highest priority that was evicted since the cache was last empty
 *
 * What is not used falls behind by what inflation rises; equals go by their last use. The
 * tokens saved are those since the checkpoint above, weighed by how likely this kind is
 * wanted again and by hits; the bytes are the slot and, as long as nothing below shares
 * them, the pages behind the checkpoint above. The subtle point: both depend on
 * neighbours in the tree, and every change there updates the neighbours' places.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_PREFIX_ORDER_H
#define ENGINE_STATE_PREFIX_ORDER_H

#include "engine/state/prefix.h"

bool prefix_order_open(struct prefix *p); /* false: out of memory */

/* The checkpoint whose node holds it comes into the order, just used, or leaves it: it is
 * set between those above and below it. Leaving precedes radix_unpin. */
void prefix_order_enter(struct prefix *p, int32_t slot);
void prefix_order_leave(struct prefix *p, int32_t slot);

void prefix_order_use(struct prefix *p, int32_t slot);

/* What its priority is made of has changed. Accepts -1. */
void prefix_order_refresh(struct prefix *p, int32_t slot);

/* While exempt it is not first. Accepts -1. */
void prefix_order_exempt(struct prefix *p, int32_t slot, bool exempt);

/* The one to evict next; -1: none. Whether a goes before b. */
int32_t prefix_order_first(const struct prefix *p);
bool prefix_order_before(const struct checkpoint *a, const struct checkpoint *b);

/* The nearest checkpoint above a node; -1: none. */
int32_t prefix_order_above(const struct prefix *p, int32_t node);

/* Whether a checkpoint of this kind is likely to be hit that has not been yet. */
bool prefix_order_is_likely(enum prefix_kind kind);

#endif
