/*
 * Body shared by the vector sets: rows quantised in groups of 32. The only integer
 * operation is v_round_bytes, which writes 32 floats as bytes and returns their sum.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

INLINE void quantise_group(vec low, vec high, struct quant_group *q)
{
    memset(q, 0, sizeof *q);
    if (v_any_nan(v_add(v_sub(low, low), v_sub(high, high)))) { /* inf - inf is NaN */
        q->scale = NAN;
        return;
    }
    float m = v_greatest(v_max(v_abs(low), v_abs(high)));
    if (m < 1e-30f)
        return;
    vec inverse = v_set1(127.0f / m);
    q->scale = m / 127.0f;
    q->offset = -128 * v_round_bytes(q->q, v_mul(low, inverse), v_mul(high, inverse));
}

static void quantise(const float *x, size_t n, struct quant_group *q, size_t stride)
{
    for (; n >= QUANT_GROUP; n -= QUANT_GROUP, x += QUANT_GROUP, q += stride)
        quantise_group(v_load(x), v_load(x + LANES), q);
    if (n > LANES)
        quantise_group(v_load(x), v_load_n(x + LANES, n - LANES), q);
    else if (n > 0)
        quantise_group(v_load_n(x, n), v_zero(), q);
}
