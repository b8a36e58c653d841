/*
 * + - * / // % ** and signs, with Python's results: floors, true division, sequences that
 * are joined and repeated. Runs on the render's thread; refuses by failing it, also where
 * an integer would take more than 64 bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_arithmetic.h"

#include "api/template/jinja_format_percent.h"
#include "api/template/jinja_lexer.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_print.h"

#include <math.h>

static bool is_integer(struct jinja_value v)
{
    return v.kind == JINJA_BOOL || v.kind == JINJA_INT;
}

static bool is_number(struct jinja_value v)
{
    return is_integer(v) || v.kind == JINJA_REAL;
}

static int64_t integer_of(struct jinja_value v)
{
    return v.kind == JINJA_BOOL ? v.truth : v.integer;
}

static double real_of(struct jinja_value v)
{
    return v.kind == JINJA_REAL ? v.real : (double)integer_of(v);
}

static struct jinja_value integer(struct jinja_render *r, bool overflows, int64_t x)
{
    if (overflows)
        return jinja_render_fail(r, "an integer beyond 64 bits");
    return jinja_int(x);
}

static struct jinja_value real(struct jinja_render *r, double x, double a, double b)
{
    if (isinf(x) && !isinf(a) && !isinf(b))
        return jinja_render_fail(r, "a number beyond what a float holds");
    return jinja_real(x);
}

static struct jinja_value by_zero(struct jinja_render *r)
{
    return jinja_render_fail(r, "division by zero");
}

static struct jinja_value divide(struct jinja_render *r, struct jinja_value a,
                                 struct jinja_value b)
{
    if (real_of(b) == 0)
        return by_zero(r);
    if (!is_integer(a) || !is_integer(b))
        return jinja_real(real_of(a) / real_of(b));
    return jinja_real((double)((long double)integer_of(a) / integer_of(b)));
}

static struct jinja_value floor_integers(struct jinja_render *r, int op, int64_t a,
                                         int64_t b)
{
    if (b == 0)
        return by_zero(r);
    if (b == -1)
        return op == JINJA_T_MOD ? jinja_int(0)
                                 : integer(r, a == INT64_MIN, -(a + (a == INT64_MIN)));
    int64_t quotient = a / b, rest = a % b;
    bool down = rest != 0 && (rest < 0) != (b < 0);
    return jinja_int(op == JINJA_T_MOD ? rest + (down ? b : 0) : quotient - down);
}

/* As CPython's float_divmod has it. */
static struct jinja_value floor_reals(struct jinja_render *r, int op, double a, double b)
{
    if (b == 0)
        return by_zero(r);
    double rest = fmod(a, b), quotient = (a - rest) / b;
    if (rest == 0) {
        rest = copysign(0, b);
    } else if ((b < 0) != (rest < 0)) {
        rest += b;
        quotient -= 1;
    }
    if (op == JINJA_T_MOD)
        return jinja_real(rest);
    if (quotient == 0)
        return jinja_real(copysign(0, a / b));
    double down = floor(quotient);
    return jinja_real(quotient - down > 0.5 ? down + 1 : down);
}

static struct jinja_value power_integers(struct jinja_render *r, int64_t base, int64_t n)
{
    int64_t x = 1;
    bool over = false;
    for (; n > 0 && !over; n >>= 1) {
        if (n & 1)
            over = __builtin_mul_overflow(x, base, &x);
        if (n > 1)
            over |= __builtin_mul_overflow(base, base, &base);
    }
    return integer(r, over, x);
}

static struct jinja_value power(struct jinja_render *r, struct jinja_value a,
                                struct jinja_value b)
{
    if (is_integer(a) && is_integer(b) && integer_of(b) >= 0)
        return power_integers(r, integer_of(a), integer_of(b));
    double x = real_of(a), y = real_of(b);
    if (x == 0 && y < 0)
        return jinja_render_fail(r, "0.0 cannot be raised to a negative power");
    if (x < 0 && isfinite(x) && isfinite(y) && y != floor(y))
        return jinja_render_fail(r, "complex numbers are not supported");
    return real(r, pow(x, y), x, y);
}

static struct jinja_value add_integers(struct jinja_render *r, int op, int64_t a,
                                       int64_t b)
{
    int64_t x = 0;
    bool over = op == JINJA_T_ADD   ? __builtin_add_overflow(a, b, &x)
                : op == JINJA_T_SUB ? __builtin_sub_overflow(a, b, &x)
                                    : __builtin_mul_overflow(a, b, &x);
    return integer(r, over, x);
}

static struct jinja_value numbers(struct jinja_render *r, int op, struct jinja_value a,
                                  struct jinja_value b)
{
    bool whole = is_integer(a) && is_integer(b);
    switch (op) {
    case JINJA_T_DIV:
        return divide(r, a, b);
    case JINJA_T_POW:
        return power(r, a, b);
    case JINJA_T_MOD:
    case JINJA_T_FLOORDIV:
        return whole ? floor_integers(r, op, integer_of(a), integer_of(b))
                     : floor_reals(r, op, real_of(a), real_of(b));
    case JINJA_T_ADD:
        return whole ? add_integers(r, op, integer_of(a), integer_of(b))
                     : jinja_real(real_of(a) + real_of(b));
    case JINJA_T_SUB:
        return whole ? add_integers(r, op, integer_of(a), integer_of(b))
                     : jinja_real(real_of(a) - real_of(b));
    default:
        return whole ? add_integers(r, op, integer_of(a), integer_of(b))
                     : jinja_real(real_of(a) * real_of(b));
    }
}

/* One of them may be safe: then so is the sum, and the other is escaped. */
static struct jinja_value join_texts(struct jinja_render *r, const struct jinja_string *a,
                                     const struct jinja_string *b)
{
    struct jinja_builder out;
    bool safe = a->safe || b->safe;
    jinja_string_begin(&out, r);
    if (safe) {
        jinja_operator_escape(&out, a);
        jinja_operator_escape(&out, b);
    } else {
        jinja_string_join(&out, a);
        jinja_string_join(&out, b);
    }
    struct jinja_value v = jinja_string_end(&out);
    return safe ? jinja_string_safe(r, v) : v;
}

static struct jinja_value join_lists(struct jinja_render *r, struct jinja_value a,
                                     struct jinja_value b)
{
    struct jinja_value out = jinja_render_list(r);
    jinja_render_work(r, a.list->n + b.list->n);
    for (size_t i = 0; !r->failed && i < a.list->n; i++)
        jinja_render_add(r, out.list, a.list->items[i]);
    for (size_t i = 0; !r->failed && i < b.list->n; i++)
        jinja_render_add(r, out.list, b.list->items[i]);
    if (!r->failed)
        out.kind = a.kind;
    return out;
}

static bool is_list(struct jinja_value v)
{
    return v.kind == JINJA_LIST || v.kind == JINJA_TUPLE;
}

static struct jinja_value repeat(struct jinja_render *r, struct jinja_value v, int64_t n)
{
    struct jinja_builder b;
    if (v.kind == JINJA_STRING) {
        jinja_string_begin(&b, r);
        for (; n > 0 && v.string->len > 0 && jinja_render_work(r, v.string->len); n--)
            jinja_string_join(&b, v.string);
        struct jinja_value text = jinja_string_end(&b);
        return v.string->safe ? jinja_string_safe(r, text) : text;
    }
    struct jinja_value out = jinja_render_list(r);
    for (; n > 0 && v.list->n > 0 && !r->failed; n--)
        for (size_t i = 0; i < v.list->n && jinja_render_work(r, 0); i++)
            jinja_render_add(r, out.list, v.list->items[i]);
    if (!r->failed)
        out.kind = v.kind;
    return out;
}

static const char *sign_of(int op)
{
    return op == JINJA_T_POW ? "** or pow()"
                             : jinja_lexer_describe((enum jinja_token_kind)op);
}

static struct jinja_value unsupported(struct jinja_render *r, int op,
                                      struct jinja_value a, struct jinja_value b)
{
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED)
        return jinja_operator_undefined(r, a.kind == JINJA_UNDEFINED ? a : b);
    if (op == JINJA_T_ADD && (a.kind == JINJA_STRING || is_list(a)))
        return jinja_render_fail(r, "can only concatenate %s (not \"%s\") to %s",
                                 jinja_print_type(a), jinja_print_type(b),
                                 jinja_print_type(a));
    return jinja_render_fail(r, "unsupported operand type(s) for %s: '%s' and '%s'",
                             sign_of(op), jinja_print_type(a), jinja_print_type(b));
}

struct jinja_value jinja_arithmetic(struct jinja_render *r, int op, struct jinja_value a,
                                    struct jinja_value b)
{
    if (is_number(a) && is_number(b))
        return numbers(r, op, a, b);
    if (op == JINJA_T_ADD && a.kind == JINJA_STRING && b.kind == JINJA_STRING)
        return join_texts(r, a.string, b.string);
    if (op == JINJA_T_ADD && is_list(a) && a.kind == b.kind)
        return join_lists(r, a, b);
    if (op == JINJA_T_MOD && a.kind == JINJA_STRING)
        return jinja_format_percent(r, a.string, b);
    if (op == JINJA_T_MUL && is_integer(b) && (a.kind == JINJA_STRING || is_list(a)))
        return repeat(r, a, integer_of(b));
    if (op == JINJA_T_MUL && is_integer(a) && (b.kind == JINJA_STRING || is_list(b)))
        return repeat(r, b, integer_of(a));
    return unsupported(r, op, a, b);
}

struct jinja_value jinja_arithmetic_sign(struct jinja_render *r, int op,
                                         struct jinja_value v)
{
    bool minus = op == JINJA_T_SUB;
    if (v.kind == JINJA_REAL)
        return jinja_real(minus ? -v.real : v.real);
    if (is_integer(v) && minus)
        return add_integers(r, JINJA_T_SUB, 0, integer_of(v));
    if (is_integer(v))
        return jinja_int(integer_of(v));
    if (v.kind == JINJA_UNDEFINED)
        return jinja_operator_undefined(r, v);
    return jinja_render_fail(r, "bad operand type for unary %s: '%s'", minus ? "-" : "+",
                             jinja_print_type(v));
}
