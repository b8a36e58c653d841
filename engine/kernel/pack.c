/* Outputs become columns of panels; values keep their bits. Any thread; no state.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/pack.h"

#include <string.h>

/* One panel. Two functions of constant width, so that each copy is one move; src may lie
 * at any address. */
static void one_panel_4(char *to, const char *src, size_t n_valid, size_t n_in)
{
    for (size_t k = 0; k < n_in; k++)
        for (size_t o = 0; o < n_valid; o++)
            memcpy(to + (k * PANEL + o) * 4, src + (o * n_in + k) * 4, 4);
}

static void one_panel_2(char *to, const char *src, size_t n_valid, size_t n_in)
{
    for (size_t k = 0; k < n_in; k++)
        for (size_t o = 0; o < n_valid; o++)
            memcpy(to + (k * PANEL + o) * 2, src + (o * n_in + k) * 2, 2);
}

void pack_panels(void *to, const struct matrix *m, const void *rows)
{
    size_t n_in = (size_t)m->n_in, panel_bytes = PANEL * n_in * dtype_bytes(m->type);
    for (int p = 0; p < matrix_panels(m->n_out); p++) {
        char *panel = (char *)to + (size_t)p * panel_bytes;
        const char *src = (const char *)rows + (size_t)p * panel_bytes;
        int left = m->n_out - p * PANEL;
        size_t n_valid = left < PANEL ? (size_t)left : PANEL;
        if (n_valid < PANEL)
            memset(panel, 0, panel_bytes);
        if (m->type == DTYPE_F32)
            one_panel_4(panel, src, n_valid, n_in);
        else
            one_panel_2(panel, src, n_valid, n_in);
    }
}
