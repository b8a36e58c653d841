/* The memory plan: what fits into a budget, and the refusals with their figures.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/kernel/kernel.h"
#include "engine/state/memory_plan.h"
#include "engine/state/radix.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdint.h>
#include <string.h>

enum { MIB = 1 << 20 };

static struct memory_plan_ask ask_of(size_t budget)
{
    return (struct memory_plan_ask){.slot_bytes = MIB,
                                    .page_bytes = MIB / 4,
                                    .max_seqs = 4,
                                    .context = 8 * PAGE_TOKENS,
                                    .budget = budget,
                                    .fixed = 3 * MIB};
}

static void without_a_budget_every_sequence_has_a_full_context(void **state)
{
    struct memory_plan_ask ask = ask_of(0);
    struct memory_plan p;
    (void)state;
    ask.context = 8 * PAGE_TOKENS - 3; /* a started page is a page */
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.n_slots, 4);
    assert_int_equal(p.n_pages, 4 * 8);
    assert_int_equal(p.bytes, 4 * MIB + 32 * (MIB / 4));
    assert_int_equal(p.longest_tokens, ask.context);
}

static void without_a_budget_at_most_half_of_free_memory_is_used(void **state)
{
    struct memory_plan_ask ask = ask_of(0);
    struct memory_plan p;
    (void)state;
    assert_int_equal(memory_plan_make(&p, &ask, 12 * MIB, NULL), 0);
    assert_int_equal(p.n_slots, 4);
    assert_int_equal(p.n_pages, 8); /* 6 MiB - 4 MiB of slots */
    assert_true(p.bytes <= 6 * MIB);
    assert_int_equal(p.longest_tokens, 8 * PAGE_TOKENS);
    assert_int_equal(memory_plan_make(&p, &ask, 11 * MIB, NULL), 0);
    assert_int_equal(p.n_pages, 6);
    assert_int_equal(p.longest_tokens, 6 * PAGE_TOKENS);
}

static void a_budget_is_spent_on_slots_then_pages(void **state)
{
    struct memory_plan_ask ask = ask_of(5 * MIB);
    struct memory_plan p;
    (void)state;
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, NULL), 0);
    assert_int_equal(p.n_slots, 4);
    assert_int_equal(p.n_pages, 4);
    assert_int_equal(p.bytes, 5 * MIB);
    assert_int_equal(p.longest_tokens, 4 * PAGE_TOKENS);
    ask.budget = 90 * (size_t)MIB; /* more than can ever be used is not taken */
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, NULL), 0);
    assert_int_equal(p.n_pages, 32);
}

static void what_does_not_fit_is_refused_with_figures(void **state)
{
    struct memory_plan_ask ask = ask_of(200 * (size_t)MIB);
    struct memory_plan p;
    struct err err = {0};
    (void)state;
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, &err), -ERR_BUDGET);
    assert_string_equal(err.param, "memory_bytes");
    assert_non_null(strstr(err.text, "200 MiB"));
    assert_non_null(strstr(err.text, "100 MiB"));
    ask.budget = 4 * MIB; /* the slots alone */
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, &err), -ERR_BUDGET);
    assert_non_null(strstr(err.text, "at least 5 MiB"));
    assert_non_null(strstr(err.text, "found 4 MiB"));
    ask.budget = 4 * MIB + MIB / 4; /* and one page */
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, &err), 0);
    assert_int_equal(p.n_pages, 1);
    ask.budget = 0;
    assert_int_equal(memory_plan_make(&p, &ask, 2 * MIB, &err), -ERR_BUDGET);
}

static void what_requests_need_stays_free(void **state)
{
    struct memory_plan_ask ask = ask_of(0);
    struct memory_plan p;
    struct err err = {0};
    (void)state;
    ask.later = 2 * MIB;
    ask.reserved = 8 * MIB;
    assert_int_equal(memory_plan_make(&p, &ask, 22 * MIB, NULL), 0);
    assert_int_equal(p.n_pages, 8); /* half of 12 MiB - 4 MiB of slots */
    ask.budget = 13 * MIB;
    assert_int_equal(memory_plan_make(&p, &ask, 22 * MIB, &err), -ERR_BUDGET);
    assert_non_null(strstr(err.text, "13 MiB"));
    assert_non_null(strstr(err.text, "12 MiB"));
    assert_non_null(strstr(err.text, "8 MiB for requests"));
    ask.budget = 0; /* 4 slots of a MiB and a page, 2, 8 */
    assert_int_equal(memory_plan_make(&p, &ask, 14 * MIB, &err), -ERR_BUDGET);
    assert_non_null(strstr(err.text, "at least 15 MiB"));
    assert_non_null(strstr(err.text, "8 for requests"));
    assert_non_null(strstr(err.text, "found 14 MiB"));
    assert_non_null(strstr(err.text, "request_bytes"));
    ask.reserved = SIZE_MAX;
    assert_int_equal(memory_plan_make(&p, &ask, 14 * MIB, &err), -ERR_BUDGET);
    assert_int_equal(memory_plan_make(&p, &ask, 0, &err), 0); /* not known: not checked */
}

static void a_model_without_attention_needs_no_pages(void **state)
{
    struct memory_plan_ask ask = ask_of(4 * MIB);
    struct memory_plan p;
    (void)state;
    ask.page_bytes = 0;
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, NULL), 0);
    assert_int_equal(p.n_pages, 0);
    assert_int_equal(p.longest_tokens, ask.context);
    assert_int_equal(p.bytes, 4 * MIB);
}

/* What a plan is paid with: nothing is given away twice. */
static void expect_within(const struct memory_plan *p, const struct memory_plan_ask *ask)
{
    size_t slots = (size_t)(p->n_slots + p->n_checkpoints);
    size_t nodes = (size_t)p->n_nodes * radix_node_bytes();
    size_t held = slots * ask->slot_bytes + (size_t)p->n_pages * ask->page_bytes + nodes;
    assert_true(held <= p->bytes);
    assert_true(p->bytes < held + held / 100 + 64 * 1024); /* roots, checkpoints */
}

static void checkpoints_have_a_share(void **state)
{
    struct memory_plan_ask ask = ask_of(0);
    struct memory_plan p;
    (void)state;
    ask.prefix = true;
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.n_slots, 4);
    assert_true(p.n_pages >= 32); /* sequences lose nothing */
    assert_in_range(p.n_checkpoints, 1, 4);
    expect_within(&p, &ask);
    ask.budget = 20 * MIB; /* more than sequences can use: the rest is for checkpoints */
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_true(p.n_pages >= 32);
    assert_in_range(p.bytes, 16 * MIB, 20 * MIB); /* one more would not fit */
    expect_within(&p, &ask);
    ask.budget = 9 * MIB; /* less: a quarter of what is there beside slots */
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.n_slots, 4);
    assert_in_range(p.n_pages, 15, 19);
    assert_true(p.bytes <= 9 * MIB);
    expect_within(&p, &ask);
}

static void checkpoints_of_a_model_without_pages_are_slots(void **state)
{
    struct memory_plan_ask ask = ask_of(40 * (size_t)MIB);
    struct memory_plan p;
    (void)state;
    ask.page_bytes = 0;
    ask.prefix = true;
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.n_pages, 0);
    assert_in_range(p.n_slots + p.n_checkpoints, 39, 40);
    expect_within(&p, &ask);
}

/* Conversations behind a shared beginning have few pages of their own. */
static void small_slots_do_not_run_out_before_pages(void **state)
{
    struct memory_plan_ask ask = ask_of(40 * (size_t)MIB);
    struct memory_plan p;
    (void)state;
    ask.prefix = true;
    ask.slot_bytes = 4096;
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_in_range(p.n_checkpoints, 100, 32 * 4); /* 8 MiB are the sequences' */
    assert_in_range(p.n_pages, 32 + 32 * 4 - 8, 32 + 32 * 4);
    assert_in_range(p.bytes, 39 * MIB, 40 * MIB);
    expect_within(&p, &ask);
    ask.slot_bytes = MIB / 2; /* not small: 2.5 MiB each with its pages */
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_in_range(p.n_checkpoints, 11, 12);
    ask.page_bytes = 64; /* no more than can be looked through */
    ask.slot_bytes = 64;
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_true(p.n_checkpoints <= 1 << 14 && p.bytes <= 40 * MIB);
}

static void bytes_for_checkpoints_are_reserved_or_refused(void **state)
{
    struct memory_plan_ask ask = ask_of(0);
    struct memory_plan p;
    struct err err = {0};
    (void)state;
    ask.prefix = true;
    ask.checkpoints = 50 * (size_t)MIB;
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.n_checkpoints, 16); /* of a slot and 8 pages each */
    assert_in_range(p.n_pages, 32 + 16 * 8 - 1, 32 + 16 * 8);
    expect_within(&p, &ask);
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, &err), -ERR_BUDGET);
    assert_string_equal(err.param, "checkpoint_bytes");
    assert_non_null(strstr(err.text, "50 MiB of checkpoints"));
    ask.checkpoints = 1; /* too little for one: what is free is all they have */
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, NULL), 0);
    assert_int_equal(p.n_checkpoints, 0);
    expect_within(&p, &ask);
}

/* What it says is needed is enough, and a byte less is not. */
static void expect_exact(struct memory_plan_ask *ask, size_t *option)
{
    struct memory_plan p;
    assert_int_equal(memory_plan_make(&p, ask, 0, NULL), 0);
    assert_int_equal(p.n_checkpoints, 0);
    assert_int_equal(p.checkpoints_short.given, *option);
    assert_true(p.checkpoints_short.needed > *option);
    *option = p.checkpoints_short.needed - 1;
    assert_int_equal(memory_plan_make(&p, ask, 0, NULL), 0);
    assert_int_equal(p.n_checkpoints, 0);
    assert_non_null(p.checkpoints_short.option);
    ++*option;
    assert_int_equal(memory_plan_make(&p, ask, 0, NULL), 0);
    assert_int_equal(p.n_checkpoints, 1);
    assert_null(p.checkpoints_short.option);
    assert_int_equal(p.most_checkpoints, ask->checkpoints ? 1 : 5);
}

static void bytes_that_hold_no_checkpoint_are_told(void **state)
{
    struct memory_plan_ask ask = ask_of(0);
    struct memory_plan p;
    (void)state;
    ask.prefix = true;
    ask.checkpoints = MIB + MIB / 4 - 1; /* a slot and a page, but for a byte */
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.most_checkpoints, 0);
    assert_string_equal(p.checkpoints_short.option, "checkpoint_bytes");
    ask.checkpoints++; /* in slots of sequences */
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.most_checkpoints, 1);
    assert_non_null(p.checkpoints_short.option);
    ask.checkpoints = 1;
    ask.page_bytes = 0;
    expect_exact(&ask, &ask.checkpoints);
    ask = ask_of(6 * MIB);
    ask.prefix = true;
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.most_checkpoints, 4);
    assert_string_equal(p.checkpoints_short.option, "memory_bytes");
    expect_exact(&ask, &ask.budget); /* what full contexts leave */
    ask.budget = 6 * MIB;
    ask.context = 64 * PAGE_TOKENS;
    expect_exact(&ask, &ask.budget); /* a quarter */
    ask.budget = 6 * MIB;
    ask.prefix = false; /* nothing is missed */
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.most_checkpoints, 0);
    assert_null(p.checkpoints_short.option);
}

static void memory_needed_later_is_reserved(void **state)
{
    struct memory_plan_ask ask = ask_of(90 * (size_t)MIB);
    struct memory_plan p;
    struct err err = {0};
    (void)state;
    ask.later = 20 * (size_t)MIB;
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, &err), -ERR_BUDGET);
    assert_non_null(strstr(err.text, "80 MiB"));
    ask.budget = 80 * (size_t)MIB;
    assert_int_equal(memory_plan_make(&p, &ask, 100 * MIB, &err), 0);
    ask.budget = 0;
    assert_int_equal(memory_plan_make(&p, &ask, 32 * MIB, &err), 0);
    assert_int_equal(p.n_pages, 8); /* half of 12 MiB - 4 MiB of slots */
    assert_int_equal(memory_plan_make(&p, &ask, 10 * MIB, &err), -ERR_BUDGET);
}

static void no_product_overflows(void **state)
{
    struct memory_plan_ask ask = {.slot_bytes = (size_t)1 << 54,
                                  .page_bytes = 1024,
                                  .max_seqs = 4096,
                                  .context = 1 << 24};
    struct memory_plan p;
    (void)state;
    assert_int_equal(memory_plan_make(&p, &ask, (size_t)1 << 40, NULL), -ERR_BUDGET);
    ask.slot_bytes = 0;
    ask.page_bytes = (size_t)1 << 40;
    assert_int_equal(memory_plan_make(&p, &ask, (size_t)1 << 44, NULL), 0);
    assert_int_equal(p.n_pages, 8);
    ask.page_bytes = 1;
    assert_int_equal(memory_plan_make(&p, &ask, 0, NULL), 0);
    assert_int_equal(p.n_pages, INT32_MAX);
}

static void this_machine_has_some_memory(void **state)
{
    (void)state;
    assert_true(memory_plan_available() > MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_budget_every_sequence_has_a_full_context),
        cmocka_unit_test(without_a_budget_at_most_half_of_free_memory_is_used),
        cmocka_unit_test(a_budget_is_spent_on_slots_then_pages),
        cmocka_unit_test(what_does_not_fit_is_refused_with_figures),
        cmocka_unit_test(what_requests_need_stays_free),
        cmocka_unit_test(a_model_without_attention_needs_no_pages),
        cmocka_unit_test(checkpoints_have_a_share),
        cmocka_unit_test(checkpoints_of_a_model_without_pages_are_slots),
        cmocka_unit_test(small_slots_do_not_run_out_before_pages),
        cmocka_unit_test(bytes_for_checkpoints_are_reserved_or_refused),
        cmocka_unit_test(bytes_that_hold_no_checkpoint_are_told),
        cmocka_unit_test(memory_needed_later_is_reserved),
        cmocka_unit_test(no_product_overflows),
        cmocka_unit_test(this_machine_has_some_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
