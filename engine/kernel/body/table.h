/* Body shared by the vector sets: the other bodies, in the order of use, and the table of
 * them.
 * SPDX-License-Identifier: Apache-2.0 */

#include "engine/kernel/kernel_c.h"

#include "engine/kernel/body/math.h"

#include "engine/kernel/body/attn.h"
#include "engine/kernel/body/conv.h"
#include "engine/kernel/body/gdn.h"
#include "engine/kernel/body/linear.h"
#include "engine/kernel/body/mix.h"
#include "engine/kernel/body/row.h"
#include "engine/kernel/body/store.h"
#ifdef QUANT_EACH
#include "engine/kernel/body/quant.h"
#include "engine/kernel/body/quantise.h"
#else /* the set defines no operations on integers */
#define quantise  quant_c_row
#define linear_q8 quant_c_linear_q8
#define linear_q4 quant_c_linear_q4
#endif

/* All kernels but the quantised products, in which two sets of a processor may differ. */
/* clang-format off */
#define KERNELS(set_name, q8, q4)                                                       \
    {                                                                                   \
        .name = set_name,                                                               \
        .linear = {linear_f32, linear_f16, linear_bf16, q8, q4},                        \
        .quantise = quantise,                                                           \
        .kv_store = {store_f32, store_f16, store_q8},                                   \
        .attn = {attn_f32, attn_f16, attn_q8},                                          \
        .ssd = ssd,                                                                     \
        .gss = gss,                                                                     \
        .dss = dss,                                                                     \
        .s4d = s4d,                                                                     \
        .conv = conv,                                                                   \
        .gdn = gdn,                                                                     \
        .rmsnorm = rmsnorm,                                                             \
        .layernorm = layernorm,                                                         \
        .sum_squares = sum_squares,                                                     \
        .max = max_of,                                                                  \
        .sum_exp = sum_exp,                                                             \
        .rope = rope,                                                                   \
        .silu_mul = silu_mul,                                                           \
        .gelu_tanh_mul = gelu_tanh_mul,                                                 \
        .mul = mul,                                                                     \
        .scale = scale,                                                                 \
        .add = add,                                                                     \
        .axpy = axpy,                                                                   \
        .residual = residual,                                                           \
        .exp = exp_all,                                                                 \
        .sigmoid = sigmoid,                                                             \
        .softplus = softplus,                                                           \
        .gelu = gelu,                                                                   \
        .gelu_tanh = gelu_tanh,                                                         \
        .relu2 = relu2,                                                                 \
        .widen = {widen_f32, widen_f16, widen_bf16},                                    \
    }
/* clang-format on */

const struct kernels SET_TABLE = KERNELS(SET_NAME, linear_q8, linear_q4);

#ifdef DOT_TABLE
const struct kernels DOT_TABLE = KERNELS(DOT_NAME, DOT_Q8, DOT_Q4);
#endif
