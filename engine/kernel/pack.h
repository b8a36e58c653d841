/* Float weights packed as linear kernels read them (kernel.h). Any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_KERNEL_PACK_H
#define ENGINE_KERNEL_PACK_H

#include "engine/kernel/matrix.h"

/* rows is [n_out][n_in] of m's float type at any address; `to` has matrix_panel_bytes,
 * and absent outputs become zero there. */
void pack_panels(void *to, const struct matrix *m, const void *rows);

#endif
