/*
 * Body shared by the vector sets: norms, reductions, rotary embedding and everything
 * elementwise. A row is processed 16 elements at a time; the rest is one masked vector,
 * whose absent lanes read nothing, add +0 to a sum that is never -0, and write nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

INLINE size_t lanes_left(size_t n, size_t i)
{
    return n - i < LANES ? n - i : LANES;
}

/* ---- elementwise ------------------------------------------------------------ */

typedef vec op_fn(vec a, vec b, vec s);

/* y = op(a, b, s) lane by lane. A unary op gets its argument twice. */
INLINE void map(const float *a, const float *b, float s, size_t n, float *y, op_fn *op)
{
    vec vs = v_set1(s);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, op(v_load(a + i), v_load(b + i), vs));
    if (i < n)
        v_store_n(y + i, op(v_load_n(a + i, n - i), v_load_n(b + i, n - i), vs), n - i);
}

#define OP(name, expr)                                                                   \
    INLINE vec name(vec a, vec b, vec s)                                                 \
    {                                                                                    \
        (void)a, (void)b, (void)s;                                                       \
        return expr;                                                                     \
    }

OP(op_silu_mul, v_mul(v_silu(a), b))
OP(op_gelu_tanh_mul, v_mul(v_gelu_tanh(a), b))
OP(op_mul, v_mul(a, b))
OP(op_scale, v_mul(a, s))
OP(op_add, v_add(a, b))
OP(op_axpy, v_fma(s, a, b))
OP(op_exp, v_exp(a))
OP(op_sigmoid, v_sigmoid(a))
OP(op_softplus, v_softplus(a))
OP(op_gelu, v_gelu(a))
OP(op_gelu_tanh, v_gelu_tanh(a))
OP(op_relu2, v_relu2(a))

static void silu_mul(const float *gate, const float *up, size_t n, float *y)
{
    map(gate, up, 0.0f, n, y, op_silu_mul);
}

static void gelu_tanh_mul(const float *gate, const float *up, size_t n, float *y)
{
    map(gate, up, 0.0f, n, y, op_gelu_tanh_mul);
}

static void mul(const float *a, const float *b, size_t n, float *y)
{
    map(a, b, 0.0f, n, y, op_mul);
}

static void scale(const float *x, float s, size_t n, float *y)
{
    map(x, x, s, n, y, op_scale);
}

static void add(const float *a, const float *b, size_t n, float *y)
{
    map(a, b, 0.0f, n, y, op_add);
}

static void axpy(float s, const float *x, size_t n, float *y)
{
    map(x, y, s, n, y, op_axpy);
}

static void residual(const float *r, const float *z, size_t n, float *h)
{
    for (size_t i = 0; i < n; i += LANES) {
        size_t m = lanes_left(n, i);
        vec v = v_fma(load_lanes(r + i, m), load_lanes(h + i, m), load_lanes(z + i, m));
        store_lanes(h + i, v, m);
    }
}

static void exp_all(const float *x, size_t n, float *y)
{
    map(x, x, 0.0f, n, y, op_exp);
}

static void sigmoid(const float *x, size_t n, float *y)
{
    map(x, x, 0.0f, n, y, op_sigmoid);
}

static void softplus(const float *x, size_t n, float *y)
{
    map(x, x, 0.0f, n, y, op_softplus);
}

static void gelu(const float *x, size_t n, float *y)
{
    map(x, x, 0.0f, n, y, op_gelu);
}

static void gelu_tanh(const float *x, size_t n, float *y)
{
    map(x, x, 0.0f, n, y, op_gelu_tanh);
}

static void relu2(const float *x, size_t n, float *y)
{
    map(x, x, 0.0f, n, y, op_relu2);
}

static void widen_f32(const void *x, size_t n, float *y)
{
    memmove(y, x, n * sizeof *y);
}

/* The last halves are copied into a whole vector: AVX2 has no masked load of 16 bits. */
INLINE void widen(const void *x, size_t n, float *y, vec (*load)(const uint16_t *))
{
    const char *p = x;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, load((const uint16_t *)(const void *)(p + 2 * i)));
    if (i < n) {
        uint16_t rest[LANES] = {0};
        memcpy(rest, p + 2 * i, 2 * (n - i));
        v_store_n(y + i, load(rest), n - i);
    }
}

static void widen_f16(const void *x, size_t n, float *y)
{
    widen(x, n, y, v_load_f16);
}

static void widen_bf16(const void *x, size_t n, float *y)
{
    widen(x, n, y, v_load_bf16);
}

/* ---- reductions and norms --------------------------------------------------- */

static float sum_squares(const float *x, int count)
{
    size_t n = (size_t)count;
    vec s = v_zero();
    for (size_t i = 0; i < n; i += LANES) {
        vec v = load_lanes(x + i, lanes_left(n, i));
        s = v_fma(v, v, s);
    }
    return v_join(s);
}

static void rmsnorm(const float *x, const float *w, float eps, int count, float *y)
{
    size_t n = (size_t)count;
    vec inverse = v_set1(1.0f / sqrtf(sum_squares(x, count) / (float)count + eps));
    for (size_t i = 0; i < n; i += LANES) {
        size_t m = lanes_left(n, i);
        vec v = v_mul(load_lanes(x + i, m), inverse);
        store_lanes(y + i, v_mul(load_lanes(w + i, m), v), m);
    }
}

INLINE float mean_of(const float *x, size_t n)
{
    vec s = v_zero();
    for (size_t i = 0; i < n; i += LANES)
        s = v_add(s, load_lanes(x + i, lanes_left(n, i)));
    return v_join(s) / (float)n;
}

/* The last vector's absent lanes hold -mean and must not count. */
INLINE float variance_of(const float *x, size_t n, vec mean)
{
    vec s = v_zero();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vec d = v_sub(v_load(x + i), mean);
        s = v_fma(d, d, s);
    }
    if (i < n) {
        float last[LANES] = {0};
        v_store_n(last, v_sub(v_load_n(x + i, n - i), mean), n - i);
        vec d = v_load(last);
        s = v_fma(d, d, s);
    }
    return v_join(s) / (float)n;
}

static void layernorm(const float *x, const float *wb[2], float eps, int count, float *y)
{
    size_t n = (size_t)count;
    vec mean = v_set1(mean_of(x, n));
    vec inverse = v_set1(1.0f / sqrtf(variance_of(x, n, mean) + eps));
    for (size_t i = 0; i < n; i += LANES) {
        size_t m = lanes_left(n, i);
        vec v = v_mul(v_sub(load_lanes(x + i, m), mean), inverse);
        v = v_fma(v, load_lanes(wb[0] + i, m), load_lanes(wb[1] + i, m));
        store_lanes(y + i, v, m);
    }
}

/* Four chains hide the latency; the order does not matter to a maximum. It drops NaNs,
 * which are therefore collected apart. */
static float max_of(const float *x, size_t n)
{
    vec m[4], nan = v_zero();
    UNROLL
    for (int j = 0; j < 4; j++)
        m[j] = v_set1(-INFINITY);
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        UNROLL
        for (size_t j = 0; j < 4; j++) {
            vec v = v_load(x + i + j * LANES);
            m[j] = v_max(m[j], v);
            nan = v_keep_nan(nan, v);
        }
    }
    if (v_any_nan(nan))
        return NAN;
    float most = v_greatest(v_max(v_max(m[0], m[1]), v_max(m[2], m[3]))) + 0.0f;
    float rest = row_c_max(x + i, n - i);
    return most > rest ? most : rest;
}

static float sum_exp(const float *x, float max, size_t n)
{
    vec s = v_zero(), vmax = v_set1(max);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        s = v_add(s, v_exp(v_sub(v_load(x + i), vmax)));
    if (i < n) {
        float last[LANES] = {0};
        v_store_n(last, v_exp(v_sub(v_load_n(x + i, n - i), vmax)), n - i);
        s = v_add(s, v_load(last));
    }
    return v_join(s);
}

static void rope(float *x, const float *cos, const float *sin, int d)
{
    size_t half = (size_t)d / 2;
    for (size_t i = 0; i < half; i += LANES) {
        size_t m = lanes_left(half, i);
        vec lo = load_lanes(x + i, m), hi = load_lanes(x + half + i, m);
        vec c = load_lanes(cos + i, m), s = load_lanes(sin + i, m);
        store_lanes(x + i, v_fms(lo, c, v_mul(hi, s)), m);
        store_lanes(x + half + i, v_fma(hi, c, v_mul(lo, s)), m);
    }
}
