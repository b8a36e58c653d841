/*
 * Slots: the constant-size recurrent state of one sequence or checkpoint, from one block
 * sized at open. Engine thread only. A slot begins as zeros, the state before the first
 * token.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_STATE_SLOTS_H
#define ENGINE_STATE_SLOTS_H

#include "engine/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct slots {
    char *base; /* owns; [n][slot_bytes], 64-byte aligned */
    size_t slot_bytes;
    int n, n_free;
    int32_t *free; /* owns; stack */
};

int slots_open(struct slots *s, int n, size_t slot_bytes,
               struct err *err);   /* ERR_MEMORY */
void slots_close(struct slots *s); /* accepts zeroed */

int32_t slots_take(struct slots *s);              /* zeroed state, or -1: none free */
int32_t slots_dup(struct slots *s, int32_t from); /* a copy of a slot, or -1 */
void slots_drop(struct slots *s, int32_t slot);
char *slots_at(const struct slots *s, int32_t slot);
void slots_copy(struct slots *s, int32_t to, int32_t from);
int slots_used(const struct slots *s);
void slots_trim(struct slots *s); /* gives memory back, if no slot is used */

#endif
