/* Sizes and layers of gated DeltaNet in a configuration. Runs at open.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/arch_gdn.h"

#include "engine/load/layer_list.h"

#include <inttypes.h>

enum { MAX_WIDTH = 1 << 24 }; /* of q, k and v together */

int arch_gdn_check(const struct gdn_spec *s, struct err *err)
{
    if (s->n_value_heads % s->n_key_heads)
        return err_set(err, ERR_FORMAT,
                       "config.json: linear_num_value_heads: expected a multiple of "
                       "linear_num_key_heads %d, found %d",
                       s->n_key_heads, s->n_value_heads);
    int64_t width = 2 * (int64_t)s->n_key_heads * s->key_dim +
                    (int64_t)s->n_value_heads * s->value_dim;
    if (width <= MAX_WIDTH)
        return 0;
    return err_set(err, ERR_FORMAT,
                   "config.json: linear_*_head_dim: expected heads of up to %d values "
                   "together, found %" PRId64,
                   MAX_WIDTH, width);
}

int arch_gdn_layers(const struct hparams *hp, uint8_t *kinds, struct err *err)
{
    static const struct layer_word words[] = {
        {"linear_attention", LAYER_GDN},
        {"full_attention", LAYER_ATTN},
        {"mamba", LAYER_GDN}, /* an older spelling */
        {"attention", LAYER_ATTN},
        {NULL, 0}};
    return layer_list_words(hp, "layer_types", words, kinds, err);
}
