/* The memory plan: what fits into a budget, and the refusals with their figures. */
#include "engine/kernel/kernel.h"
#include "engine/state/plan.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { MIB = 1 << 20 };

static struct plan_ask ask_of(size_t budget)
{
    return (struct plan_ask){.slot_bytes = MIB,
                             .page_bytes = MIB / 4,
                             .max_seqs = 4,
                             .context = 8 * PAGE_TOKENS,
                             .budget = budget,
                             .fixed = 3 * MIB};
}

static void without_a_budget_every_sequence_has_a_full_context(void **state)
{
    struct plan_ask ask = ask_of(0);
    struct plan p;
    (void)state;
    ask.context = 8 * PAGE_TOKENS - 3; /* a started page is a page */
    assert_int_equal(plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.n_slots, 4);
    assert_int_equal(p.n_pages, 4 * 8);
    assert_int_equal(p.bytes, 4 * MIB + 32 * (MIB / 4));
    assert_int_equal(p.longest_tokens, ask.context);
}

static void without_a_budget_at_most_half_of_what_is_free_is_taken(void **state)
{
    struct plan_ask ask = ask_of(0);
    struct plan p;
    (void)state;
    assert_int_equal(plan_make(&p, &ask, 12 * MIB, NULL), 0);
    assert_int_equal(p.n_slots, 4);
    assert_int_equal(p.n_pages, 8); /* 6 MiB - 4 MiB of slots */
    assert_true(p.bytes <= 6 * MIB);
    assert_int_equal(p.longest_tokens, 8 * PAGE_TOKENS);
    assert_int_equal(plan_make(&p, &ask, 11 * MIB, NULL), 0);
    assert_int_equal(p.n_pages, 6);
    assert_int_equal(p.longest_tokens, 6 * PAGE_TOKENS);
}

static void a_budget_is_spent_on_slots_then_pages(void **state)
{
    struct plan_ask ask = ask_of(5 * MIB);
    struct plan p;
    (void)state;
    assert_int_equal(plan_make(&p, &ask, 100 * MIB, NULL), 0);
    assert_int_equal(p.n_slots, 4);
    assert_int_equal(p.n_pages, 4);
    assert_int_equal(p.bytes, 5 * MIB);
    assert_int_equal(p.longest_tokens, 4 * PAGE_TOKENS);
    ask.budget = 90 * (size_t)MIB; /* more than can ever be used is not taken */
    assert_int_equal(plan_make(&p, &ask, 100 * MIB, NULL), 0);
    assert_int_equal(p.n_pages, 32);
}

static void what_does_not_fit_is_refused_with_figures(void **state)
{
    struct plan_ask ask = ask_of(200 * (size_t)MIB);
    struct plan p;
    struct err err = {0};
    (void)state;
    assert_int_equal(plan_make(&p, &ask, 100 * MIB, &err), -ERR_BUDGET);
    assert_string_equal(err.param, "memory_bytes");
    assert_non_null(strstr(err.text, "200 MiB"));
    assert_non_null(strstr(err.text, "100 MiB"));
    ask.budget = 4 * MIB; /* the slots alone */
    assert_int_equal(plan_make(&p, &ask, 100 * MIB, &err), -ERR_BUDGET);
    assert_non_null(strstr(err.text, "at least 5 MiB"));
    assert_non_null(strstr(err.text, "found 4 MiB"));
    ask.budget = 4 * MIB + MIB / 4; /* and one page */
    assert_int_equal(plan_make(&p, &ask, 100 * MIB, &err), 0);
    assert_int_equal(p.n_pages, 1);
    ask.budget = 0;
    assert_int_equal(plan_make(&p, &ask, 2 * MIB, &err), -ERR_BUDGET);
}

static void a_model_without_attention_needs_no_pages(void **state)
{
    struct plan_ask ask = ask_of(4 * MIB);
    struct plan p;
    (void)state;
    ask.page_bytes = 0;
    assert_int_equal(plan_make(&p, &ask, 100 * MIB, NULL), 0);
    assert_int_equal(p.n_pages, 0);
    assert_int_equal(p.longest_tokens, ask.context);
    assert_int_equal(p.bytes, 4 * MIB);
}

static void this_machine_has_some_memory(void **state)
{
    (void)state;
    assert_true(plan_available() > MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_budget_every_sequence_has_a_full_context),
        cmocka_unit_test(without_a_budget_at_most_half_of_what_is_free_is_taken),
        cmocka_unit_test(a_budget_is_spent_on_slots_then_pages),
        cmocka_unit_test(what_does_not_fit_is_refused_with_figures),
        cmocka_unit_test(a_model_without_attention_needs_no_pages),
        cmocka_unit_test(this_machine_has_some_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
