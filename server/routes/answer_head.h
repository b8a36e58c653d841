/*
 * What the head of every answer takes from the process: a random id, and the bytes of
 * token ids for its writer. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ROUTES_ANSWER_HEAD_H
#define SERVER_ROUTES_ANSWER_HEAD_H

#include "engine/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { ANSWER_HEAD_ID = 48 };

/* The prefix, of 20 bytes at most, and 24 random hexadecimal digits. ERR_INTERNAL. */
int answer_head_id(const char *prefix, char out[ANSWER_HEAD_ID], struct err *err);

/* An api_piece_fn whose arg is a const engine, which is only read. */
const char *answer_head_piece(void *engine, int32_t id, size_t *len);

#endif
