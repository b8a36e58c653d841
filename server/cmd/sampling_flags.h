/*
 * The flags of a request's numbers, --max-tokens, --temperature and --seed, as members of
 * its body. The daemon checks their ranges; here only that they are numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_SAMPLING_FLAGS_H
#define SERVER_CMD_SAMPLING_FLAGS_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* A command's own flags begin with these, in this order. */
enum sampling_flag {
    SAMPLING_MAX_TOKENS,
    SAMPLING_TEMPERATURE,
    SAMPLING_SEED,
    SAMPLING_FLAGS_N
};

/* Rows of a command's table of flags. */
#define SAMPLING_FLAGS_ROWS(max_tokens)                                                  \
    [SAMPLING_MAX_TOKENS] = {"--max-tokens", "N", max_tokens},                           \
    [SAMPLING_TEMPERATURE] = {"--temperature", "X", "0: the likeliest token each time"}, \
    [SAMPLING_SEED] = {"--seed", "N", "the same answers each time"}

/* ERR_ARGUMENT names the flag that is no number. values[SAMPLING_FLAGS_N]; NULL = absent. */
int sampling_flags_check(const char *const *values, struct err *err);

/* Appends `,"name":number` for each that was given; they have been checked. */
void sampling_flags_put(struct buf *body, const char *const *values);

#endif
