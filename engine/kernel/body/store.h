/*
 * Body shared by the vector sets: keys and values into pages.
 *
 * A whole page is stored 16 tokens at a time, for K with the tokens along the lanes; a
 * part of a page is stored row by row, with head_dim along the lanes. Both give the same
 * bits: every value is converted by itself, and a maximum does not depend on order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* One half of one page: rows x (stride ld) become tokens [token, token + n_rows). */
struct half {
    char *to;
    const float *x;
    size_t ld, n; /* n: head_dim */
    int token, n_rows;
};

INLINE uint16_t *halves_of(char *to)
{
    return (uint16_t *)(void *)to;
}

/* ---- scales of q8 ----------------------------------------------------------- */

/* NaN in lanes where x is not finite: a sum of such products stays what it is. */
INLINE vec spoil(vec spoilt, vec x)
{
    return v_fma(x, v_zero(), spoilt);
}

/* The scales for greatest values m; m is NaN where a value is not finite. */
INLINE vec scales_for(vec m, uint16_t *to)
{
    vec scale = v_div(m, v_set1(127.0f));
    /* Values from 65520 on round to an infinite half. */
    scale = v_if_greater(v_set1(65520.0f), scale, scale, v_set1(NAN));
    v_store_f16(to, scale);
    return v_load_f16(to);
}

INLINE vec code_of(vec x, vec scale)
{
    vec q = v_div(x, scale);
    q = v_max(v_set1(-127.0f), v_min(v_set1(127.0f), q));
    return v_if_greater(scale, v_zero(), q, v_zero());
}

/* ---- row by row ------------------------------------------------------------- */

/* Values [d, d + n) of one row, n <= 32, then zeros. */
struct values {
    vec low, high;
};

INLINE struct values load_values(const float *x, size_t n)
{
    if (n >= QUANT_GROUP)
        return (struct values){v_load(x), v_load(x + LANES)};
    if (n > LANES)
        return (struct values){v_load(x), v_load_n(x + LANES, n - LANES)};
    return (struct values){v_load_n(x, n), v_zero()};
}

/* A group of 32 values of one row in the type of the page; n of them count. */
INLINE void convert_group(enum engine_kv type, const float *x, size_t n, char *to,
                          uint16_t *scale)
{
    _Alignas(64) uint16_t scales[LANES];
    struct values p = load_values(x, n);
    if (type == ENGINE_KV_F32) {
        v_store((float *)(void *)to, p.low);
        v_store((float *)(void *)to + LANES, p.high);
        return;
    }
    if (type == ENGINE_KV_F16) {
        v_store_f16(halves_of(to), p.low);
        v_store_f16(halves_of(to) + LANES, p.high);
        return;
    }
    float m = v_greatest(v_max(v_abs(p.low), v_abs(p.high)));
    float spoilt = v_join(spoil(spoil(v_zero(), p.low), p.high));
    vec s = scales_for(v_set1(m + spoilt), scales);
    v_round_bytes((int8_t *)to, code_of(p.low, s), code_of(p.high, s));
    *scale = scales[0];
}

/* Bytes of one value, [from] to [to]. */
INLINE void move(enum engine_kv type, char *to, size_t at, const char *from, size_t i)
{
    if (type == ENGINE_KV_F32)
        ((float *)(void *)to)[at] = ((const float *)(const void *)from)[i];
    else if (type == ENGINE_KV_F16)
        halves_of(to)[at] = ((const uint16_t *)(const void *)from)[i];
    else
        to[at] = from[i];
}

/* A token's values lie apart in K and are contiguous in V. */
INLINE void store_rows(enum engine_kv type, const struct half *h, bool is_key)
{
    for (int r = 0; r < h->n_rows; r++) {
        size_t token = (size_t)(h->token + r);
        for (size_t d = 0; d < h->n; d += QUANT_GROUP) {
            _Alignas(64) char group[QUANT_GROUP * sizeof(float)];
            uint16_t scale = 0;
            size_t n = h->n - d < QUANT_GROUP ? h->n - d : QUANT_GROUP;
            char *row = h->to + (token * h->n + d) * value_bytes(type);
            char *to = is_key || n < QUANT_GROUP ? group : row;
            convert_group(type, h->x + (size_t)r * h->ld + d, n, to, &scale);
            if (type == ENGINE_KV_Q8)
                halves_of(h->to + h->n * PAGE_TOKENS)[d / 2 + token] = scale;
            for (size_t i = 0; is_key && i < n; i++)
                move(type, h->to, (d + i) * PAGE_TOKENS + token, group, i);
            if (to == group && !is_key)
                memcpy(row, group, n * value_bytes(type));
        }
    }
}

/* ---- a whole page ----------------------------------------------------------- */

/* Values [d, d + 16) of all tokens, tokens along the lanes; t[i] is value d + i. */
INLINE void turn(const struct half *h, size_t d, vec *t)
{
    size_t n = h->n - d < LANES ? h->n - d : LANES;
    UNROLL
    for (size_t r = 0; r < PAGE_TOKENS; r++)
        t[r] = load_lanes(h->x + r * h->ld + d, n);
    v_transpose(t);
}

INLINE void store_keys_plain(enum engine_kv type, const struct half *h)
{
    for (size_t d = 0; d < h->n; d += LANES) {
        vec t[LANES];
        turn(h, d, t);
        for (size_t i = 0; i < LANES && d + i < h->n; i++) {
            if (type == ENGINE_KV_F32)
                v_store((float *)(void *)h->to + (d + i) * PAGE_TOKENS, t[i]);
            else
                v_store_f16(halves_of(h->to) + (d + i) * PAGE_TOKENS, t[i]);
        }
    }
}

/* A group of K: 32 values of all tokens, those from n on zero. */
INLINE void store_keys_group(const struct half *h, size_t d, size_t n)
{
    vec t[QUANT_GROUP], m = v_zero(), spoilt = v_zero();
    turn(h, d, t);
    for (size_t i = LANES; i < QUANT_GROUP; i++)
        t[i] = v_zero();
    if (n > LANES)
        turn(h, d + LANES, t + LANES);
    for (size_t i = 0; i < n; i++) {
        m = v_max(m, v_abs(t[i]));
        spoilt = spoil(spoilt, t[i]);
    }
    vec s = scales_for(v_add(m, spoilt), halves_of(h->to + h->n * PAGE_TOKENS) + d / 2);
    for (size_t i = 0; i < n; i += 2) {
        int8_t both[2 * LANES];
        v_round_bytes(both, code_of(t[i], s), code_of(t[i + 1], s));
        memcpy(h->to + (d + i) * PAGE_TOKENS, both,
               (n - i > 1 ? 2 : 1) * PAGE_TOKENS * sizeof *both);
    }
}

INLINE void store_keys(enum engine_kv type, const struct half *h)
{
    if (type != ENGINE_KV_Q8)
        store_keys_plain(type, h);
    else
        for (size_t d = 0; d < h->n; d += QUANT_GROUP)
            store_keys_group(h, d, h->n - d < QUANT_GROUP ? h->n - d : QUANT_GROUP);
}

/* ---- the kernels ------------------------------------------------------------ */

INLINE void store_page(enum engine_kv type, const struct half *k, const struct half *v)
{
    if (k->n_rows == PAGE_TOKENS)
        store_keys(type, k);
    else
        store_rows(type, k, true);
    store_rows(type, v, false);
}

INLINE void store(enum engine_kv type, const struct kv_args *a)
{
    for (int done = 0, n; done < a->n_rows; done += n) {
        int pos = a->pos + done, token = pos % PAGE_TOKENS;
        size_t from = (size_t)done * a->ld, hd = (size_t)a->head_dim;
        char *page = a->pages + (size_t)a->table[pos / PAGE_TOKENS] * a->page_bytes;
        n = a->n_rows - done < PAGE_TOKENS - token ? a->n_rows - done
                                                   : PAGE_TOKENS - token;
        struct half k = {page + a->k_offset, a->k + from, a->ld, hd, token, n};
        struct half v = {page + a->v_offset, a->v + from, a->ld, hd, token, n};
        store_page(type, &k, &v);
    }
}

static void store_f32(const struct kv_args *a)
{
    store(ENGINE_KV_F32, a);
}

static void store_f16(const struct kv_args *a)
{
    store(ENGINE_KV_F16, a);
}

static void store_q8(const struct kv_args *a)
{
    store(ENGINE_KV_Q8, a);
}
