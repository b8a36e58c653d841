/*
 * Feed-forward mixer without state. Gated kinds (arXiv 2002.05202) have two matrices
 * before the last one, the others one:
 *
 *   FFN_SWIGLU      down(silu(s·gate·x) ⊙ up·x)
 *   FFN_GEGLU_TANH  down(gelu_tanh(s·gate·x) ⊙ up·x)
 *   FFN_RELU2       down(max(up·x, 0)²)              (arXiv 2109.08668)
 *   FFN_GELU_TANH   down(gelu_tanh(up·x))
 *
 * A factor on the whole output is the block's: the weight of its branch.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_FFN_H
#define ENGINE_MIXER_FFN_H

#include <stdbool.h>

enum ffn_kind { FFN_SWIGLU, FFN_GEGLU_TANH, FFN_RELU2, FFN_GELU_TANH };

/* Names without ".weight". A gated kind has `gate` and `up`, or `gate_up` as one matrix
 * [2·size, hidden_size] with the gate's rows first; the others have `up` alone. */
struct ffn_spec {
    enum ffn_kind kind;
    const char *gate, *up, *gate_up, *down;
    int size;         /* inner width */
    bool bias;        /* on all of them */
    float gate_scale; /* s; 0: absent */
};

#endif
