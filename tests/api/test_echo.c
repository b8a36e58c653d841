/* Where the tokens of an echoed prompt begin, in characters.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/echo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const texts[] = {"<s>", "ab",   "\xe2\x82", "\xac",
                                    "c",   "\xff", "e\xcc\x81"};

static const char *piece(void *arg, int32_t id, size_t *len)
{
    (void)arg;
    if (id < 0 || id >= (int32_t)(sizeof texts / sizeof *texts))
        return NULL;
    *len = strlen(texts[id]);
    return texts[id];
}

/* The text and the offsets of a prompt; text NULL = it came as ids. */
static void expect(const char *text, const int32_t *ids, size_t n, const char *echoed,
                   const char *offsets, size_t n_chars)
{
    struct echo e = {0};
    struct prompt p = {.text = text, .text_len = text ? strlen(text) : 0};
    if (!text)
        p = (struct prompt){.ids = ids, .n_ids = n};
    echo_open(&e, &p, ids, n, piece, NULL);
    for (size_t i = 0; i < n; i++) {
        struct event ev = {.kind = EVENT_PROMPT, .id = ids[i], .logprob = i ? -1 : NAN};
        echo_put(&e, &ev, piece, NULL);
    }
    assert_int_equal(e.len, strlen(echoed));
    assert_memory_equal(e.text, echoed, e.len);
    assert_string_equal(e.probs.offsets.data, offsets);
    assert_int_equal(e.n_chars, n_chars);
    assert_false(echo_no_memory(&e));
    echo_free(&e);
}

static void ids_are_echoed_as_their_bytes(void **state)
{
    (void)state;
    int32_t ids[] = {0, 1, 2, 3, 4};
    expect(NULL, ids, 5,
           "<s>ab\xe2\x82\xac"
           "c",
           "0,3,5,5,6", 7);
}

static void a_token_before_the_text_has_no_bytes_in_it(void **state)
{
    (void)state;
    int32_t ids[] = {0, 1, 2, 3, 4};
    expect("ab\xe2\x82\xac"
           "c",
           ids, 5,
           "ab\xe2\x82\xac"
           "c",
           "0,0,2,2,3", 4);
}

static void bytes_of_no_character_count_one_each(void **state)
{
    (void)state;
    int32_t ids[] = {5, 1, 5, 5, 4};
    expect(NULL, ids, 5,
           "\xff"
           "ab\xff\xff"
           "c",
           "0,1,3,4,5", 6);
}

static void a_normalised_text_is_stepped_over_by_characters(void **state)
{
    (void)state;
    /* The text has one composed letter where the token has two characters. */
    int32_t ids[] = {1, 6, 4};
    expect("ab\xc3\xa9"
           "c",
           ids, 3,
           "ab\xc3\xa9"
           "c",
           "0,2,4", 4);
}

static void offsets_never_pass_the_end(void **state)
{
    (void)state;
    int32_t ids[] = {0, 1, 1, 6, 99, 6};
    expect("b", ids, 6, "b", "0,0,1,1,1,1", 1);
    expect(NULL, (int32_t[]){99, 99}, 2, "", "0,0", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_echoed_as_their_bytes),
        cmocka_unit_test(a_token_before_the_text_has_no_bytes_in_it),
        cmocka_unit_test(bytes_of_no_character_count_one_each),
        cmocka_unit_test(a_normalised_text_is_stepped_over_by_characters),
        cmocka_unit_test(offsets_never_pass_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
