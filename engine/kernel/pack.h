/* Float weights packed as linear kernels read them (kernel.h). Any thread. */
#ifndef ENGINE_KERNEL_PACK_H
#define ENGINE_KERNEL_PACK_H

#include "engine/kernel/kernel.h"

/* w is [n_out][n_in] of a float type at any address; `to` has room for whole panels, and
 * missing outputs become zero there. */
void pack_panels(void *to, enum dtype type, const void *w, int n_out, int n_in);

#endif
