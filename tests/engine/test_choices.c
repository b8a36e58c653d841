/*
 * Choices of one request equal separate requests of one choice, wherever the prompt ends
 * in a page to which all choices go on to write. Two requests of the same n are not
 * compared, because they would share a fault of the fork; the second check scores the
 * answers as prompts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICES = 3, MOST = 60, ANSWER = 20 };

static const size_t lengths[] = {1, 5, 15, 16, 17, 31, 32, 40};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static struct engine_request choices_of(const int32_t *ids, size_t n)
{
    struct engine_request r = warm_request(ids, n, ANSWER);
    r.gen.n = CHOICES;
    return r;
}

static void expect_alone(struct warm *w, uint64_t id, const struct engine_request *r)
{
    struct engine_request one = *r;
    size_t n, n_got;
    one.gen.n = 1;
    char *expected = warm_expected(w, &one, 0, &n);
    for (int c = 0; c < r->gen.n; c++) {
        char *got = drive_transcript(&w->hot, id, c, &n_got);
        if (n != n_got || memcmp(expected, got, n) != 0)
            fail_msg("%s: prompt of %zu: choice %d is not what one choice says", w->name,
                     r->n_ids, c);
        free(got);
    }
    free(expected);
}

static void greedy_choices_equal_one_choice(void **state)
{
    int32_t ids[MOST];
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        struct engine_options o = warm_options(m);
        warm_open(&w, m, &o);
        for (int i = 0; i < 3 * LENGTHS; i++) { /* a miss, a full hit, a hit within */
            size_t n = lengths[i / 3];
            warm_fill(ids, MOST, (unsigned)i / 3 + 1);
            struct engine_request r = choices_of(ids, n + (i % 3 == 2) * 3);
            uint64_t id = warm_submit(&w, &r);
            drive_run(&w.hot);
            expect_alone(&w, id, &r);
            drive_clear(&w.hot);
        }
        warm_close(&w);
    }
}

static void sampled_choices_equal_their_scores(void **state)
{
    int32_t ids[MOST], said[CHOICES][ANSWER + 1];
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct warm w;
        struct engine_options o = warm_options(m);
        o.speculate = m % 2 ? ENGINE_SPECULATE_ON : ENGINE_SPECULATE_OFF;
        warm_open(&w, m, &o);
        for (int i = 0; i < LENGTHS; i++) {
            warm_fill(ids, MOST, (unsigned)i + 100);
            struct engine_request r = choices_of(ids, lengths[i]);
            r.gen.temperature = 1;
            r.gen.seed = (uint64_t)i;
            uint64_t id = warm_submit(&w, &r);
            drive_run(&w.hot);
            for (int c = 0; c < CHOICES; c++) {
                warm_score(&w, id, &r, c);
                drive_tokens(&w.hot, id, c, said[c], ANSWER + 1);
            }
            assert_memory_not_equal(said[0], said[1], sizeof *said - sizeof **said);
            drive_clear(&w.hot);
        }
        warm_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_choices_equal_one_choice),
        cmocka_unit_test(sampled_choices_equal_their_scores),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
