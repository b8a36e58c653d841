/*
 * The table of tests. Runs on the render's thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_test.h"

#include "api/template/jinja_arithmetic.h"
#include "api/template/jinja_filter.h"
#include "api/template/jinja_lexer.h"
#include "api/template/jinja_node.h"
#include "api/template/jinja_operator.h"
#include "api/template/jinja_sequence.h"

/* A test that looks at the kind of a value only. */
#define KIND_TEST(name, holds)                                                           \
    static struct jinja_value name(struct jinja_render *r, struct jinja_value self,      \
                                   const struct jinja_args *args)                        \
    {                                                                                    \
        (void)r;                                                                         \
        (void)args;                                                                      \
        return jinja_bool(holds);                                                        \
    }

KIND_TEST(is_defined, self.kind != JINJA_UNDEFINED)
KIND_TEST(is_undefined, self.kind == JINJA_UNDEFINED)
KIND_TEST(is_none, self.kind == JINJA_NONE)
KIND_TEST(is_boolean, self.kind == JINJA_BOOL)
KIND_TEST(is_true, self.kind == JINJA_BOOL && self.truth)
KIND_TEST(is_false, self.kind == JINJA_BOOL && !self.truth)
KIND_TEST(is_integer, self.kind == JINJA_INT)
KIND_TEST(is_float, self.kind == JINJA_REAL)
KIND_TEST(is_number,
          self.kind == JINJA_BOOL || self.kind == JINJA_INT || self.kind == JINJA_REAL)
KIND_TEST(is_string, self.kind == JINJA_STRING)
KIND_TEST(is_mapping, self.kind == JINJA_DICT)
KIND_TEST(is_iterable, jinja_sequence_iterable(self))
KIND_TEST(is_callable, self.kind == JINJA_CALLABLE || self.kind == JINJA_UNDEFINED)
KIND_TEST(is_sequence, jinja_sequence_iterable(self) && self.kind != JINJA_VIEW &&
                           self.kind != JINJA_ITERATOR)
KIND_TEST(is_escaped, self.kind == JINJA_STRING && self.string->safe)

/* A test by an operator between the value and its argument. */
#define OPERATOR_TEST(name, op)                                                          \
    static struct jinja_value name(struct jinja_render *r, struct jinja_value self,      \
                                   const struct jinja_args *args)                        \
    {                                                                                    \
        return jinja_bool(jinja_operator_compare(r, op, self, *args->param[0]));         \
    }

OPERATOR_TEST(is_equal, JINJA_T_EQ)
OPERATOR_TEST(is_unequal, JINJA_T_NE)
OPERATOR_TEST(is_above, JINJA_T_GT)
OPERATOR_TEST(is_above_or_equal, JINJA_T_GE)
OPERATOR_TEST(is_below, JINJA_T_LT)
OPERATOR_TEST(is_below_or_equal, JINJA_T_LE)
OPERATOR_TEST(is_in, JINJA_OP_IN)

static bool remainder_is(struct jinja_render *r, struct jinja_value v,
                         struct jinja_value by, int64_t wanted)
{
    struct jinja_value rest = jinja_arithmetic(r, JINJA_T_MOD, v, by);
    return !r->failed && jinja_operator_equal(r, rest, jinja_int(wanted));
}

static struct jinja_value is_odd(struct jinja_render *r, struct jinja_value self,
                                 const struct jinja_args *args)
{
    (void)args;
    return jinja_bool(remainder_is(r, self, jinja_int(2), 1));
}

static struct jinja_value is_even(struct jinja_render *r, struct jinja_value self,
                                  const struct jinja_args *args)
{
    (void)args;
    return jinja_bool(remainder_is(r, self, jinja_int(2), 0));
}

static struct jinja_value is_divisible(struct jinja_render *r, struct jinja_value self,
                                       const struct jinja_args *args)
{
    return jinja_bool(remainder_is(r, self, *args->param[0], 0));
}

/* One object: small values are, others are where they have one place. */
static struct jinja_value is_same(struct jinja_render *r, struct jinja_value self,
                                  const struct jinja_args *args)
{
    struct jinja_value other = *args->param[0];
    if (self.kind != other.kind)
        return jinja_bool(false);
    if (self.kind <= JINJA_REAL)
        return jinja_bool(jinja_operator_equal(r, self, other));
    return jinja_bool(self.callable == other.callable);
}

static struct jinja_value is_filter(struct jinja_render *r, struct jinja_value self,
                                    const struct jinja_args *args)
{
    (void)r;
    (void)args;
    return jinja_bool(self.kind == JINJA_STRING &&
                      jinja_filter_find(self.string->text, self.string->len));
}

static struct jinja_value is_test(struct jinja_render *r, struct jinja_value self,
                                  const struct jinja_args *args)
{
    (void)r;
    (void)args;
    return jinja_bool(self.kind == JINJA_STRING &&
                      jinja_test_find(self.string->text, self.string->len));
}

static const struct jinja_builtin rows[] = {
    {"defined", is_defined, "", 0},
    {"undefined", is_undefined, "", 0},
    {"none", is_none, "", 0},
    {"string", is_string, "", 0},
    {"mapping", is_mapping, "", 0},
    {"iterable", is_iterable, "", 0},
    {"sequence", is_sequence, "", 0},
    {"number", is_number, "", 0},
    {"boolean", is_boolean, "", 0},
    {"true", is_true, "", 0},
    {"false", is_false, "", 0},
    {"integer", is_integer, "", 0},
    {"float", is_float, "", 0},
    {"callable", is_callable, "", 0},
    {"escaped", is_escaped, "", 0},
    {"odd", is_odd, "", 0},
    {"even", is_even, "", 0},
    {"divisibleby", is_divisible, "num", 1},
    {"sameas", is_same, "other", 1},
    {"filter", is_filter, "", 0},
    {"test", is_test, "", 0},
    {"in", is_in, "seq", 1},
    {"eq", is_equal, "other", 1},
    {"equalto", is_equal, "other", 1},
    {"==", is_equal, "other", 1},
    {"ne", is_unequal, "other", 1},
    {"!=", is_unequal, "other", 1},
    {"gt", is_above, "other", 1},
    {"greaterthan", is_above, "other", 1},
    {">", is_above, "other", 1},
    {"ge", is_above_or_equal, "other", 1},
    {">=", is_above_or_equal, "other", 1},
    {"lt", is_below, "other", 1},
    {"lessthan", is_below, "other", 1},
    {"<", is_below, "other", 1},
    {"le", is_below_or_equal, "other", 1},
    {"<=", is_below_or_equal, "other", 1},
};

const struct jinja_builtin *jinja_test_find(const char *name, size_t len)
{
    return jinja_builtin_find(rows, sizeof rows / sizeof *rows, name, len);
}
