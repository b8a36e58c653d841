/* Body shared by the vector sets: the other bodies, in the order of use, and the table of
 * them. */

#include "engine/kernel/kernel_c.h"

#include "engine/kernel/body/math.h"

#include "engine/kernel/body/attn.h"
#include "engine/kernel/body/linear.h"
#include "engine/kernel/body/mix.h"
#include "engine/kernel/body/row.h"

const struct kernels SET_TABLE = {
    .name = SET_NAME,
    .linear = {linear_f32, linear_f16, linear_bf16, quant_c_linear_q8, quant_c_linear_q4},
    .quantise = quant_c_row,
    .kv_store = {attn_c_store_f32, attn_c_store_f16, attn_c_store_q8},
    .attn = {attn_f32, attn_c_f16, attn_c_q8},
    .ssd = ssd,
    .gss = gss,
    .dss = dss,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .sum_squares = sum_squares,
    .max = max_of,
    .sum_exp = sum_exp,
    .rope = rope,
    .silu_mul = silu_mul,
    .mul = mul,
    .scale = scale,
    .add = add,
    .axpy = axpy,
    .residual = residual,
    .exp = exp_all,
    .sigmoid = sigmoid,
    .softplus = softplus,
    .gelu = gelu,
    .gelu_tanh = gelu_tanh,
    .widen = {widen_f32, widen_f16, widen_bf16},
};
