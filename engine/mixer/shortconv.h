/*
 * Gated short convolution of LFM2: in_proj gives B, C and x, each [D], and
 *
 *   out = out_proj(C ⊙ conv(B ⊙ x))
 *
 * with a causal depthwise convolution without activation. State: the convolution's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MIXER_SHORTCONV_H
#define ENGINE_MIXER_SHORTCONV_H

#include <stdbool.h>

struct shortconv_spec {
    const char *in, *conv, *out; /* tensor names without ".weight" */
    int n_taps;
    bool bias; /* on all three */
};

#endif
