/*
 * Sliding windows as configurations write them: a size, whether it is used, and which
 * layers it is for. Runs at open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ENGINE_MODEL_ARCH_WINDOWS_H
#define ENGINE_MODEL_ARCH_WINDOWS_H

#include "engine/load/layer_list.h"

struct windows {
    bool used;
    int size;
    uint8_t sliding[HPARAMS_MAX_LAYERS]; /* 1: the layer has it */
};

/* The keys of a struct windows: member `field` of an architecture's struct `type`. */
#define WINDOWS_SIZE_KEY(type, field)                                                    \
    {                                                                                    \
        "sliding_window", HP_INT, offsetof(type, field.size), 1, 1 << 28, NULL, false    \
    }
#define WINDOWS_USE_KEY(type, field)                                                     \
    {                                                                                    \
        "use_sliding_window", HP_BOOL, offsetof(type, field.used), 0, 0, NULL, false     \
    }

/* After the keys, with the layers that have a window where layer_types is absent: reads
 * layer_types; a size of null, or an absent one where the architecture has put 0, is no
 * window. ERR_FORMAT. */
int arch_windows_read(struct windows *w, const struct hparams *hp, struct err *err);

/* Of layer i; 0: none. */
int arch_window(const struct windows *w, int i);

#endif
