/* Why prompt tokens are recomputed: each is counted once, with its reason.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/drive.h"
#include "tests/lib/model_maker.h"
#include "tests/lib/tiny_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { AB = 256, ABC, VOCAB, PLENTY = 8 << 20 };

static struct maker model;

static int make_model(void **state)
{
    static const struct maker_sizes sizes = {VOCAB, 24, 2, 2, 1, 16, 512};
    static const char *const merges[] = {"a", "b", "ab", "c", NULL};
    const struct tiny_tokenizer t = {.merges = merges};
    struct buf json = {0};
    (void)state;
    maker_open(&model);
    maker_transxssm(&model, &sizes);
    tiny_tokenizer_json(&json, &t);
    maker_file(&model, "tokenizer.json", json.data, json.len);
    buf_free(&json);
    return 0;
}

static int remove_model(void **state)
{
    (void)state;
    maker_close(&model);
    return 0;
}

static void open_engine(struct drive *d, size_t checkpoint_bytes, bool tokenizer)
{
    const struct engine_options o = {.model_dir = model.dir,
                                     .n_threads = 1,
                                     .max_seqs = 2,
                                     .prefix_cache = true,
                                     .checkpoint_bytes = checkpoint_bytes,
                                     .no_tokenizer = !tokenizer};
    drive_open(d, &o);
}

/* Only the prompt is read: one checkpoint, at its end. */
static void ask(struct drive *d, const int32_t *ids, size_t n, const char *salt)
{
    const struct engine_request r = {
        .id = 1, .ids = ids, .n_ids = n, .cache_salt = salt, .gen = drive_greedy(0)};
    drive_clear(d);
    assert_int_equal(engine_submit(d->e, &r, NULL), 0);
    drive_run(d);
}

static void expect_lost(const struct drive *d, int no_checkpoint, int evicted, int salt,
                        int retokenised)
{
    struct engine_stats l;
    engine_stats(d->e, &l);
    assert_int_equal(l.tokens_missed[ENGINE_MISS_NO_CHECKPOINT], no_checkpoint);
    assert_int_equal(l.tokens_missed[ENGINE_MISS_EVICTED], evicted);
    assert_int_equal(l.tokens_missed[ENGINE_MISS_SALT], salt);
    assert_int_equal(l.tokens_missed[ENGINE_MISS_RETOKENISED], retokenised);
}

static void count_up(int32_t *ids, int n, int from)
{
    for (int i = 0; i < n; i++)
        ids[i] = from + i;
}

static void nothing_is_counted_without_a_miss(void **state)
{
    struct drive d;
    int32_t ids[60];
    (void)state;
    open_engine(&d, PLENTY, true);
    count_up(ids, 60, 0);
    ask(&d, ids, 40, NULL);
    ask(&d, ids, 40, NULL);
    ask(&d, ids, 60, NULL);
    count_up(ids, 60, 100);
    ask(&d, ids, 60, NULL);
    expect_lost(&d, 0, 0, 0, 0);
    drive_close(&d);
}

static void a_cached_path_without_a_checkpoint_is_counted(void **state)
{
    struct drive d;
    int32_t ids[60];
    (void)state;
    open_engine(&d, PLENTY, true);
    count_up(ids, 60, 0);
    ask(&d, ids, 40, NULL);
    ids[25] = 200;
    ask(&d, ids, 40, NULL);
    expect_lost(&d, 25, 0, 0, 0);
    ids[25] = 201; /* the junction is there now */
    ask(&d, ids, 40, NULL);
    expect_lost(&d, 25, 0, 0, 0);
    count_up(ids, 60, 0);
    ask(&d, ids, 30, NULL); /* ends inside a known path */
    expect_lost(&d, 30, 0, 0, 0);
    drive_close(&d);
}

static void an_evicted_checkpoint_is_counted(void **state)
{
    struct drive d;
    int32_t ids[60];
    (void)state;
    open_engine(&d, PLENTY, true);
    const struct engine_info *info = engine_info(d.e);
    size_t one = info->slot_bytes + 3 * info->page_bytes; /* of 40 tokens */
    drive_close(&d);
    open_engine(&d, one, true);
    count_up(ids, 60, 0);
    ask(&d, ids, 40, NULL);
    count_up(ids, 60, 100);
    ask(&d, ids, 40, NULL); /* in its place */
    count_up(ids, 60, 0);
    ids[50] = 0;
    ask(&d, ids, 60, NULL);
    expect_lost(&d, 0, 40, 0, 0);
    drive_close(&d);
}

static void another_salt_of_the_tenant_is_counted(void **state)
{
    struct drive d;
    int32_t ids[60];
    (void)state;
    open_engine(&d, PLENTY, true);
    count_up(ids, 60, 0);
    ask(&d, ids, 10, "mine");
    ask(&d, ids, 40, "theirs");
    expect_lost(&d, 0, 0, 10, 0);
    ask(&d, ids, 60, "mine"); /* 10 of its own, 40 of theirs */
    expect_lost(&d, 0, 0, 40, 0);
    drive_close(&d);
}

static void the_same_text_in_other_tokens_is_counted(void **state)
{
    static const int32_t stored[] = {'x', 'y', 'a', 'b', 'c', 'z', 'z'};
    static const int32_t merged[] = {'x', 'y', ABC, 'z', 'q'};
    static const int32_t other[] = {'x', 'y', 'q', 'q'};
    struct drive d;
    (void)state;
    for (int tokenizer = 0; tokenizer < 2; tokenizer++) {
        open_engine(&d, PLENTY, tokenizer);
        ask(&d, stored, 7, NULL);
        ask(&d, merged, 5, NULL); /* abcz are recomputed: x, y, abc and z are counted */
        expect_lost(&d, tokenizer ? 0 : 2, 0, 0, tokenizer ? 4 : 0);
        ask(&d, other, 4, NULL); /* another text: nothing more; xy is a junction now */
        expect_lost(&d, tokenizer ? 0 : 2, 0, 0, tokenizer ? 4 : 0);
        drive_close(&d);
    }
}

/* An answer that ends inside a word, whose continuation is one token with it. */
static void a_token_that_spans_the_end_of_the_cached_text_is_counted(void **state)
{
    static const int32_t stored[] = {'x', 'y', 'a'}, longer[] = {'x', 'y', AB, 'q'},
                         apart[] = {'x', 'y', 'a', 'q'};
    struct drive d;
    (void)state;
    open_engine(&d, PLENTY, true);
    ask(&d, stored, 3, NULL);
    ask(&d, longer, 4, NULL);
    expect_lost(&d, 0, 0, 0, 2);
    ask(&d, apart, 4, NULL);
    expect_lost(&d, 0, 0, 0, 2);
    drive_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_counted_without_a_miss),
        cmocka_unit_test(a_cached_path_without_a_checkpoint_is_counted),
        cmocka_unit_test(an_evicted_checkpoint_is_counted),
        cmocka_unit_test(another_salt_of_the_tenant_is_counted),
        cmocka_unit_test(the_same_text_in_other_tokens_is_counted),
        cmocka_unit_test(a_token_that_spans_the_end_of_the_cached_text_is_counted),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
