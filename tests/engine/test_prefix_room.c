/* Short of memory, a request that fits at all is admitted even if checkpoints of its own
 * conversation occupy the space, and a checkpoint that was adopted is stored again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

enum { MOST = 400, PAGES = 10 };

/* Asks, and appends what was said. */
static int turn(struct warm *w, int32_t *ids, int n, int max_tokens)
{
    struct engine_request r = warm_request(ids, (size_t)n, max_tokens);
    r.gen.ignore_eos = true;
    uint64_t id = warm_submit(w, &r);
    drive_run(&w->hot);
    if (!drive_finish(&w->hot, id, 0))
        fail_msg("%s: %d tokens and %d more were never begun", w->name, n, max_tokens);
    warm_expect(w, id, &r, "a turn");
    return n + (int)drive_tokens(&w->hot, id, 0, ids + n, (size_t)(MOST - n));
}

static void open_with_pages(struct warm *w, int model, int n_pages)
{
    struct engine_options o = warm_options(model);
    o.max_seqs = 2;
    o.context_tokens = n_pages * 16;
    o.memory_bytes = warm_bytes(&o, 2, n_pages);
    warm_open(w, model, &o);
}

/* Each turn goes on inside a page, and the last one needs all there are. */
static void a_conversation_may_use_all_pages(void **state)
{
    (void)state;
    for (int model = 0; model < WARM_MODELS - 1; model++)
        for (int first = 17; first < 31; first++) {
            struct warm w;
            int32_t ids[MOST];
            warm_fill(ids, MOST, 12345);
            open_with_pages(&w, model, PAGES);
            turn(&w, ids, first, 8);
            turn(&w, ids, first + 15, 6);
            turn(&w, ids, first + 25, PAGES * 16 - first - 25);
            warm_close(&w);
        }
}

/* The checkpoint's own slot and page serve a request that ends before it has run. */
static void an_adopted_checkpoint_is_stored_again(void **state)
{
    (void)state;
    for (int model = 0; model < WARM_MODELS - 1; model++) {
        struct warm w;
        int32_t ids[MOST];
        warm_fill(ids, MOST, 12345);
        open_with_pages(&w, model, PAGES);
        int n = turn(&w, ids, 40, 8) - 1;
        struct engine_request r = warm_request(ids, (size_t)n, PAGES * 16 - n);
        uint64_t id = warm_submit(&w, &r);
        engine_pause(w.hot.e, id, true);
        drive_step(&w.hot);
        engine_cancel(w.hot.e, id, FINISH_ABORT);
        r.gen.max_tokens = 3;
        int known = warm_ask(&w, &r);
        if (known < n - 1)
            fail_msg("%s: of %d tokens %d were known", w.name, n, known);
        warm_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_may_use_all_pages),
        cmocka_unit_test(an_adopted_checkpoint_is_stored_again),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
