/*
 * rope_scaling and rope_parameters of a configuration: which scaling a rotary table has
 * and its numbers. Strict: a member that the type does not honour is an error. Runs at
 * open; borrows from the document.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_LOAD_ROPE_PARAMS_H
#define ENGINE_LOAD_ROPE_PARAMS_H

#include "engine/base/err.h"
#include "engine/base/json.h"

#include <stdbool.h>

enum rope_kind {
    ROPE_DEFAULT,
    ROPE_LINEAR,
    ROPE_LLAMA3,
    ROPE_DYNAMIC,
    ROPE_YARN,
    ROPE_LONG
};

/* As written; unused fields are 0. */
struct rope_params {
    enum rope_kind kind;
    double theta, factor, low_freq_factor, high_freq_factor, beta_fast, beta_slow;
    double attention_factor; /* 0 = not given */
    double original;         /* original_max_position_embeddings; default m */
    double partial;          /* share of head_dim that is rotated */
    bool theta_null;         /* rope_theta is there and null */
    const struct json *short_factor, *long_factor; /* borrow from the document */
};

struct hparams;

/* Reads them into h->rope and, where the family has one set for each type of layer,
 * h->rope_local. The theta and the share of the family are set before. ERR_FORMAT. */
int rope_params_read(struct hparams *h, struct err *err);

#endif
