/* Feed-forward mixer without state (arXiv 2002.05202):
 * SwiGLU(x) = down(silu(gate·x) ⊙ up·x).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MIXER_FFN_H
#define ENGINE_MIXER_FFN_H

#include <stdbool.h>

struct ffn_spec {
    const char *gate, *up, *down; /* tensor names without ".weight" */
    int size;                     /* inner width */
    bool bias;
};

#endif
