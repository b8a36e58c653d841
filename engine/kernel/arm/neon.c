/*
 * The NEON kernel set: 16 lanes in four registers, and the dot product of bytes. This
 * file defines the vector; the kernels are the bodies it includes, shared with the x86
 * sets. Any thread; no state. Built with the flags the Makefile gives this file alone,
 * and entered only where cpu.c found the extensions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/kernel.h"
#include "engine/kernel/poly.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#define SET_NAME    "neon"
#define SET_TABLE   kernel_neon
#define LINEAR_EACH UP_TO_6       /* numbers of rows, 1 to LINEAR_ROWS */
#define QUANT_EACH  QUANT_UP_TO_4 /* numbers of rows, 1 to QUANT_ROWS */
#define INLINE      static inline __attribute__((always_inline))

/* Register tiles, of 32 registers of a quarter of a vector. */
enum {
    LINEAR_ROWS = 6, /* rows x one half of a panel: 24 sums, 4 weights, 1 broadcast */
    LINEAR_WIDE = 2, /* rows up to which both halves of a panel run together */
    ATTN_PAGES = 1,  /* pages of keys x 4 query heads */
    ATTN_VECS = 1,   /* vectors of head_dim x 4 query heads */
    SSD_VECS = 1,    /* vectors of the head x 4 chains over the state */
    GDN_VECS = 1,    /* vectors of the head x 2 chains x 2 sums over the state */
    QUANT_ROWS = 4,  /* rows x one half of a panel: 16 sums of integers, 4 codes */
    QUANT_WIDE = 2   /* rows up to which both halves of a panel run together */
};

typedef struct {
    float32x4_t a, b, c, d;
} vec;

/* The same operation on each quarter; x, y and z are vectors. */
#define EACH_1(op, x)    ((vec){op(x.a), op(x.b), op(x.c), op(x.d)})
#define EACH_2(op, x, y) ((vec){op(x.a, y.a), op(x.b, y.b), op(x.c, y.c), op(x.d, y.d)})
#define EACH_3(op, x, y, z)                                                              \
    ((vec){op(x.a, y.a, z.a), op(x.b, y.b, z.b), op(x.c, y.c, z.c), op(x.d, y.d, z.d)})

INLINE vec v_set1(float x)
{
    float32x4_t v = vdupq_n_f32(x);
    return (vec){v, v, v, v};
}

INLINE vec v_zero(void)
{
    return v_set1(0.0f);
}

INLINE vec v_load(const float *p)
{
    return (vec){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}

/* NEON has no masked loads: a tail is copied into a whole vector in memory. */
INLINE vec v_load_n(const float *p, size_t n)
{
    float whole[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        whole[i] = p[i];
    return v_load(whole);
}

INLINE void v_store(float *p, vec x)
{
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
    vst1q_f32(p + 8, x.c);
    vst1q_f32(p + 12, x.d);
}

INLINE void v_store_n(float *p, vec x, size_t n)
{
    float whole[LANES];
    v_store(whole, x);
    for (size_t i = 0; i < n; i++)
        p[i] = whole[i];
}

/* By bytes: halves may lie at any address. */
INLINE float32x4_t widen_4_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8((const uint8_t *)p)));
}

INLINE vec v_load_f16(const uint16_t *p)
{
    return (vec){widen_4_f16(p), widen_4_f16(p + 4), widen_4_f16(p + 8),
                 widen_4_f16(p + 12)};
}

INLINE float32x4_t widen_4_bf16(const uint16_t *p)
{
    uint16x4_t h = vreinterpret_u16_u8(vld1_u8((const uint8_t *)p));
    return vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}

INLINE vec v_load_bf16(const uint16_t *p)
{
    return (vec){widen_4_bf16(p), widen_4_bf16(p + 4), widen_4_bf16(p + 8),
                 widen_4_bf16(p + 12)};
}

INLINE vec v_load_i8(const int8_t *p)
{
    int8x16_t bytes = vld1q_s8(p);
    int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
    return (vec){vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
                 vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                 vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                 vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))};
}

INLINE void store_4_halves(uint16_t *p, float32x4_t x)
{
    vst1_u8((uint8_t *)p, vreinterpret_u8_f16(vcvt_f16_f32(x)));
}

/* To the nearest, ties to even. */
INLINE void v_store_f16(uint16_t *p, vec x)
{
    store_4_halves(p, x.a);
    store_4_halves(p + 4, x.b);
    store_4_halves(p + 8, x.c);
    store_4_halves(p + 12, x.d);
}

INLINE vec v_add(vec a, vec b)
{
    return EACH_2(vaddq_f32, a, b);
}

INLINE vec v_sub(vec a, vec b)
{
    return EACH_2(vsubq_f32, a, b);
}

INLINE vec v_mul(vec a, vec b)
{
    return EACH_2(vmulq_f32, a, b);
}

INLINE vec v_div(vec a, vec b)
{
    return EACH_2(vdivq_f32, a, b);
}

INLINE vec v_fma(vec a, vec b, vec c) /* a b + c */
{
    return EACH_3(vfmaq_f32, c, a, b);
}

INLINE vec v_fma_from(const float *x, vec b, vec c) /* x[0] b + c */
{
    return v_fma(v_set1(*x), b, c);
}

INLINE vec v_fnma(vec a, vec b, vec c) /* -a b + c */
{
    return EACH_3(vfmsq_f32, c, a, b);
}

INLINE vec v_fms(vec a, vec b, vec c) /* a b - c */
{
    return v_fma(a, b, EACH_1(vnegq_f32, c));
}

/* vminq and vmaxq would give the NaN of either operand and order the zeros; these give
 * the second operand, as the C set and x86 do. */
INLINE float32x4_t min_4(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

INLINE float32x4_t max_4(float32x4_t a, float32x4_t b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

INLINE vec v_min(vec a, vec b) /* a < b ? a : b */
{
    return EACH_2(min_4, a, b);
}

INLINE vec v_max(vec a, vec b) /* a > b ? a : b */
{
    return EACH_2(max_4, a, b);
}

INLINE vec v_abs(vec a)
{
    return EACH_1(vabsq_f32, a);
}

INLINE vec v_if_greater(vec a, vec b, vec yes, vec no) /* a > b ? yes : no */
{
    return (vec){vbslq_f32(vcgtq_f32(a.a, b.a), yes.a, no.a),
                 vbslq_f32(vcgtq_f32(a.b, b.b), yes.b, no.b),
                 vbslq_f32(vcgtq_f32(a.c, b.c), yes.c, no.c),
                 vbslq_f32(vcgtq_f32(a.d, b.d), yes.d, no.d)};
}

INLINE float32x4_t keep_nan_4(float32x4_t nan, float32x4_t x)
{
    return vbslq_f32(vceqq_f32(x, x), nan, x);
}

INLINE vec v_keep_nan(vec nan, vec x) /* x where it is NaN, else nan */
{
    return EACH_2(keep_nan_4, nan, x);
}

INLINE bool v_any_nan(vec a)
{
    uint32x4_t ab = vandq_u32(vceqq_f32(a.a, a.a), vceqq_f32(a.b, a.b));
    uint32x4_t cd = vandq_u32(vceqq_f32(a.c, a.c), vceqq_f32(a.d, a.d));
    return vminvq_u32(vandq_u32(ab, cd)) == 0;
}

INLINE float32x4_t power_of_two(int32x4_t n)
{
    int32x4_t biased = vaddq_s32(n, vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
}

INLINE float32x4_t scale_4(float32x4_t p, float32x4_t t)
{
    int32x4_t round = vreinterpretq_s32_f32(vdupq_n_f32(EXP_ROUND));
    int32x4_t i = vsubq_s32(vreinterpretq_s32_f32(t), round);
    int32x4_t half = vshrq_n_s32(i, 1);
    p = vmulq_f32(p, power_of_two(half));
    return vmulq_f32(p, power_of_two(vsubq_s32(i, half)));
}

/* p * 2^n with one rounding, by two factors; t is EXP_ROUND with n in its low bits. */
INLINE vec v_scale(vec p, vec n, vec t)
{
    (void)n;
    return EACH_2(scale_4, p, t);
}

/* The fixed tree: s[i] += s[i+8], then +4, +2, +1. */
INLINE float v_join(vec s)
{
    float32x4_t x = vaddq_f32(vaddq_f32(s.a, s.c), vaddq_f32(s.b, s.d));
    float32x2_t y = vadd_f32(vget_low_f32(x), vget_high_f32(x));
    return vget_lane_f32(y, 0) + vget_lane_f32(y, 1);
}

/* The greatest lane; the caller handles unordered lanes and the sign of a zero. */
INLINE float v_greatest(vec s)
{
    float32x4_t x = max_4(max_4(s.a, s.c), max_4(s.b, s.d));
    x = max_4(x, vextq_f32(x, x, 2));
    x = max_4(x, vextq_f32(x, x, 1));
    return vgetq_lane_f32(x, 0);
}

INLINE float32x4_t join_1(vec s)
{
    float32x4_t x = vaddq_f32(vaddq_f32(s.a, s.c), vaddq_f32(s.b, s.d));
    x = vaddq_f32(x, vextq_f32(x, x, 2));
    return vaddq_f32(x, vextq_f32(x, x, 1));
}

INLINE float32x4_t greatest_1(vec s)
{
    float32x4_t x = max_4(max_4(s.a, s.c), max_4(s.b, s.d));
    x = max_4(x, vextq_f32(x, x, 2));
    return max_4(x, vextq_f32(x, x, 1));
}

/* Transposes: swaps lane j of x[i] and lane i of x[j]. Through memory, for it runs once
 * for a token that is read many times. */
INLINE void v_transpose(vec *x)
{
    float in[LANES][LANES], out[LANES][LANES];
    for (int i = 0; i < LANES; i++)
        v_store(in[i], x[i]);
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            out[j][i] = in[i][j];
    for (int i = 0; i < LANES; i++)
        x[i] = v_load(out[i]);
}

/* Folds each of four vectors to four lanes of one, as v_join and v_greatest do. */
INLINE vec v_join_4(const vec x[4])
{
    return (vec){join_1(x[0]), join_1(x[1]), join_1(x[2]), join_1(x[3])};
}

INLINE vec v_greatest_4(const vec x[4])
{
    return (vec){greatest_1(x[0]), greatest_1(x[1]), greatest_1(x[2]), greatest_1(x[3])};
}

INLINE vec v_quarter(vec x, int i) /* lane 4i everywhere; lanes 4i … 4i+3 are the same */
{
    float32x4_t q = i == 0 ? x.a : i == 1 ? x.b : i == 2 ? x.c : x.d;
    return (vec){q, q, q, q};
}

INLINE void v_prefetch(const void *p)
{
    __builtin_prefetch(p);
}

INLINE void v_prefetch_far(const void *p) /* into the L2 cache */
{
    __builtin_prefetch(p, 0, 2);
}

/* ---- bytes ------------------------------------------------------------------ */

typedef struct {
    int32x4_t a, b, c, d;
} ivec;

typedef struct {
    int8x16_t a, b, c, d;
} vcodes;

typedef int8x16_t vquad;

INLINE int8x16_t round_16(vec x)
{
    int16x8_t low =
        vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(x.a)), vqmovn_s32(vcvtnq_s32_f32(x.b)));
    int16x8_t high =
        vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(x.c)), vqmovn_s32(vcvtnq_s32_f32(x.d)));
    return vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
}

/* Stores both, rounded to the nearest even, as 32 bytes (they fit); returns their sum. */
INLINE int v_round_bytes(int8_t *to, vec low, vec high)
{
    int8x16_t a = round_16(low), b = round_16(high);
    vst1q_s8(to, a);
    vst1q_s8(to + 16, b);
    return vaddlvq_s8(a) + vaddlvq_s8(b);
}

/* The weights' codes are 128 + q; the dot product here takes q itself. */
INLINE int8x16_t signed_16(const uint8_t *p)
{
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(128)));
}

INLINE vcodes v_codes(const uint8_t *p)
{
    return (vcodes){signed_16(p), signed_16(p + 16), signed_16(p + 32),
                    signed_16(p + 48)};
}

INLINE void v_codes_q4(const uint8_t *p, vcodes *low, vcodes *high)
{
    int8x16_t levels = vld1q_s8(quant_levels);
    uint8x16_t nibble = vdupq_n_u8(15);
    uint8x16_t a = vld1q_u8(p), b = vld1q_u8(p + 16);
    uint8x16_t c = vld1q_u8(p + 32), d = vld1q_u8(p + 48);
    *low = (vcodes){
        vqtbl1q_s8(levels, vandq_u8(a, nibble)), vqtbl1q_s8(levels, vandq_u8(b, nibble)),
        vqtbl1q_s8(levels, vandq_u8(c, nibble)), vqtbl1q_s8(levels, vandq_u8(d, nibble))};
    *high = (vcodes){
        vqtbl1q_s8(levels, vshrq_n_u8(a, 4)), vqtbl1q_s8(levels, vshrq_n_u8(b, 4)),
        vqtbl1q_s8(levels, vshrq_n_u8(c, 4)), vqtbl1q_s8(levels, vshrq_n_u8(d, 4))};
}

/* Broadcasts four bytes of a row. */
INLINE vquad v_quad(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

/* Weights are signed: sums start at 0, without an offset. */
INLINE ivec v_begin(int32_t offset)
{
    int32x4_t zero = vdupq_n_s32(0);
    (void)offset;
    return (ivec){zero, zero, zero, zero};
}

INLINE ivec v_dot(ivec s, vcodes w, vquad x)
{
    return (ivec){vdotq_s32(s.a, w.a, x), vdotq_s32(s.b, w.b, x), vdotq_s32(s.c, w.c, x),
                  vdotq_s32(s.d, w.d, x)};
}

INLINE vec v_float(ivec s)
{
    return EACH_1(vcvtq_f32_s32, s);
}

#include "engine/kernel/body/table.h"
