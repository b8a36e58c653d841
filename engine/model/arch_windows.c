/* Reads which layers have a window.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/arch_windows.h"

static const struct layer_word words[] = {
    {"full_attention", 0}, {"sliding_attention", 1}, {NULL, 0}};

int arch_windows_read(struct windows *w, const struct hparams *hp, struct err *err)
{
    if (!w->size || json_kind(hparams_get(hp, "sliding_window")) == JK_NULL)
        w->used = false;
    return layer_list_words(hp, "layer_types", words, w->sliding, err);
}

int arch_window(const struct windows *w, int i)
{
    return w->used && w->sliding[i] ? w->size : 0;
}
