/*
 * The prefix cache as a data structure: a look-up finds what was stored, by whichever
 * sequence; sequences take precedence over checkpoints; nothing leaks or has two
 * owners.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/state/prefix_order.h"
#include "tests/lib/store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

/* ---- what is found ---------------------------------------------------------- */

static const struct prefix_options plain = {0};

static void a_state_is_found_by_its_own_tokens_only(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    for (int n = 1; n < 70; n++) {
        store_open(&s, STORE_SLOTS, STORE_PAGES, &plain);
        store_count_up(ids, STORE_MOST, 0);
        assert_int_equal(store_tell(&s, "a|", ids, n, 0), 0);
        assert_int_equal(store_depth(&s, "a|", ids, n), n);
        assert_int_equal(store_depth(&s, "a|", ids, n + 1), n);
        assert_int_equal(store_depth(&s, "a|", ids, n - 1), 0);
        ids[n - 1]++;
        assert_int_equal(store_depth(&s, "a|", ids, n), 0);
        ids[n - 1]--;
        ids[n] = 1000; /* another way on */
        assert_int_equal(store_tell(&s, "a|", ids, n + 20, 0), n);
        assert_int_equal(store_tell(&s, "a|", ids, n + 40, 0), n + 20);
        store_close(&s);
    }
}

static void a_full_path_is_found_at_any_junction(void **state)
{
    struct store s;
    int32_t a[STORE_MOST], b[STORE_MOST];
    (void)state;
    store_count_up(a, STORE_MOST, 0);
    for (int at = 1; at < 50; at++) {
        store_open(&s, STORE_SLOTS, STORE_PAGES, &plain);
        store_count_up(b, STORE_MOST, 0);
        store_count_up(b + at, STORE_MOST - at, 5000);
        struct prefix_path path = store_path("a|", b, 60);
        struct prefix_match m;
        store_tell(&s, "a|", a, 60, 0);
        prefix_find(&s.prefix, &path, &m);
        assert_int_equal(m.known, at);
        assert_int_equal(m.depth, 0);
        store_tell(&s, "a|", b, 60,
                   at); /* keeps the junction, inside a node or at its end */
        assert_int_equal(s.prefix.n, 3);
        assert_int_equal(store_depth(&s, "a|", a, 59), at);
        assert_int_equal(store_depth(&s, "a|", a, 60), 60);
        assert_int_equal(store_depth(&s, "a|", b, 60), 60);
        store_close(&s);
    }
}

static void attention_alone_is_found_at_every_token(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_open(&s, STORE_SLOTS, STORE_PAGES, &(struct prefix_options){.any_depth = true});
    store_count_up(ids, STORE_MOST, 0);
    store_tell(&s, "a|", ids, 60, 0);
    for (int n = 1; n < 60; n++) {
        assert_int_equal(store_depth(&s, "a|", ids, n), n - 1); /* the last has no row */
        int32_t was = ids[n];
        ids[n] = -1;
        assert_int_equal(store_depth(&s, "a|", ids, 70), n);
        ids[n] = was;
    }
    assert_int_equal(store_depth(&s, "a|", ids, 60), 60);
    ids[37] = 77;
    assert_int_equal(store_tell(&s, "a|", ids, 60, 0), 37);
    store_close(&s);
}

static void tenants_and_salts_never_share(void **state)
{
    static const char *const keys[] = {"a|", "a|x", "b|x", "b|", "|ax", "ab|"};
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_open(&s, STORE_SLOTS, STORE_PAGES, &plain);
    store_count_up(ids, STORE_MOST, 0);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(store_tell(&s, keys[i], ids, 30, 0), 0);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(store_depth(&s, keys[i], ids, 40), 30);
    ids[0] = 9;
    store_tell(&s, "a|y", ids, 20, 0);
    struct prefix_path path = store_path("a|z", ids, 40);
    assert_int_equal(prefix_elsewhere(&s.prefix, &path), 20);
    path = store_path("b|z", ids, 40);
    assert_int_equal(prefix_elsewhere(&s.prefix, &path), 0);
    store_close(&s);
}

static void a_match_reports_what_is_stored_beyond_it(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST], got[STORE_MOST];
    struct prefix_match m;
    (void)state;
    store_open(&s, STORE_SLOTS, STORE_PAGES, &plain);
    store_count_up(ids, STORE_MOST, 0);
    store_tell(&s, "a|", ids, 60, 0);
    for (int at = 0; at < 60; at++) {
        store_count_up(ids, STORE_MOST, 0);
        ids[at] = -5;
        struct prefix_path path = store_path("a|", ids, 60);
        prefix_find(&s.prefix, &path, &m);
        int n = prefix_beyond(&s.prefix, &m, got, 30);
        assert_int_equal(n, 60 - at < 30 ? 60 - at : 30);
        for (int i = 0; i < n; i++)
            assert_int_equal(got[i], at + i);
    }
    store_close(&s);
}

/* ---- eviction --------------------------------------------------------------- */

static void the_least_recently_used_is_evicted_first(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_open(&s, 5, STORE_PAGES, &plain); /* four checkpoints and one that runs */
    for (int i = 0; i < 5; i++) {
        store_count_up(ids, STORE_MOST, 1000 * i);
        store_tell(&s, "a|", ids, 20, 0);
        store_count_up(ids, STORE_MOST, 0);
        store_tell(&s, "a|", ids, 20, 0); /* used again and again */
    }
    assert_int_equal(store_depth(&s, "a|", ids, 20), 20);
    store_count_up(ids, STORE_MOST, 1000);
    assert_int_equal(store_depth(&s, "a|", ids, 20), 0);
    struct prefix_path path = store_path("a|", ids, 30);
    struct prefix_match m;
    prefix_find(&s.prefix, &path, &m); /* that it was there is remembered */
    assert_int_equal(m.evicted, 20);
    assert_int_equal(m.known, 20);
    store_close(&s);
}

/* Inflation: what was hit often stays as long as that was worth, not for ever. */
static void old_hits_lose_weight(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_open(&s, 5, 0, &plain);
    store_count_up(ids, STORE_MOST, 0);
    for (int i = 0; i < 6; i++)
        store_tell(&s, "a|", ids, 20, 0);
    int rounds = 0;
    for (; store_depth(&s, "a|", ids, 20); rounds++) {
        int32_t other[STORE_MOST];
        store_count_up(other, STORE_MOST, 1000 + 100 * rounds);
        store_tell(&s, "a|", other, 20, 0);
        assert_in_range(rounds, 0, 100);
    }
    assert_in_range(rounds, 12, 30); /* six times as long as three others */
    store_close(&s);
}

static void at_equal_age_the_one_that_saves_least_is_evicted_first(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_open(&s, STORE_SLOTS, 0, &plain);
    for (int i = 1; i <= 8; i++) {
        store_count_up(ids, STORE_MOST, 1000 * i);
        store_tell(&s, "a|", ids, i == 5 ? 3 : 10 * i, 0);
    }
    assert_true(prefix_room(&s.prefix, STORE_SLOTS - 7, 0, -1));
    store_count_up(ids, STORE_MOST, 5000);
    assert_int_equal(store_depth(&s, "a|", ids, 50), 0);
    assert_int_equal(s.prefix.n, 7);
    store_close(&s);
}

static void a_continued_answer_is_evicted_before_its_continuation(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST], other[STORE_MOST];
    (void)state;
    store_open(&s, STORE_SLOTS, 0, &plain);
    store_count_up(ids, STORE_MOST, 0);
    store_count_up(other, STORE_MOST, 3000);
    store_tell(&s, "a|", other, 40, 0);
    store_tell(&s, "a|", ids, 40, 0);
    assert_int_equal(store_tell(&s, "a|", ids, 80, 0), 40);
    assert_true(prefix_room(&s.prefix, STORE_SLOTS - 2, 0, -1));
    assert_int_equal(store_depth(&s, "a|", other, 40), 40); /* though it is older */
    assert_int_equal(store_depth(&s, "a|", ids, 79), 0);
    assert_int_equal(store_depth(&s, "a|", ids, 80), 80);
    store_close(&s);
}

static void bytes_are_never_above_the_cap(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    size_t cap = 3 * (STORE_SLOT + 2 * STORE_PAGE);
    (void)state;
    store_open(&s, STORE_SLOTS, STORE_PAGES, &(struct prefix_options){.cap_bytes = cap});
    for (int i = 0; i < 40; i++) {
        store_count_up(ids, STORE_MOST, 500 * (i % 13));
        store_tell(&s, "a|", ids, 17 + i % 16, 0);
        assert_true(prefix_used_bytes(&s.prefix) <= cap);
        assert_true(s.prefix.n >= 1);
    }
    store_close(&s);
}

static void sequences_get_all_but_exempt_checkpoints(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_open(&s, STORE_SLOTS, STORE_PAGES, &plain);
    for (int i = 0; i < STORE_SLOTS; i++) {
        store_count_up(ids, STORE_MOST, 1000 * (STORE_SLOTS - i % 8));
        store_tell(&s, "a|", ids, 40, 0);
    }
    struct prefix_match m;
    store_count_up(ids, STORE_MOST, 1000 * (STORE_SLOTS - 4)); /* the oldest */
    struct prefix_path path = store_path("a|", ids, 40);
    prefix_find(&s.prefix, &path, &m);
    assert_false(prefix_room(&s.prefix, STORE_SLOTS + 1, 0, -1));
    assert_false(prefix_room(&s.prefix, 1, STORE_PAGES + 1, -1));
    assert_false(prefix_room(&s.prefix, STORE_SLOTS, 0, m.slot));
    assert_true(s.prefix.n > 5); /* what could not help was not evicted */
    assert_true(prefix_room(&s.prefix, STORE_SLOTS - 1, STORE_PAGES - 3, m.slot));
    assert_int_equal(store_depth(&s, "a|", ids, 40), 40);
    assert_true(prefix_room(&s.prefix, STORE_SLOTS, STORE_PAGES, -1));
    assert_int_equal(s.prefix.n, 0);
    store_close(&s);
}

static void a_checkpoint_can_be_adopted(void **state)
{
    struct store s;
    struct mark q = {.n = 20};
    struct prefix_match m;
    (void)state;
    store_open(&s, STORE_SLOTS, STORE_PAGES, &plain);
    store_count_up(q.tokens, STORE_MOST, 0);
    store_tell(&s, "a|", q.tokens, 40, 20);
    struct prefix_path path = store_path("a|", q.tokens, 20);
    prefix_find(&s.prefix, &path, &m);
    radix_table(&s.prefix.radix, m.node, q.table);
    for (q.n_pages = 0; q.n_pages < 2; q.n_pages++)
        pages_share(&s.pages, q.table[q.n_pages]);
    q.slot = m.slot;
    prefix_detach(&s.prefix, m.slot);
    assert_int_equal(store_depth(&s, "a|", q.tokens, 40), 40);
    assert_int_equal(store_depth(&s, "a|", q.tokens, 39), 0);
    prefix_free_page(&s.prefix, q.table[1]); /* the longer one held it, too */
    assert_int_equal(s.pages.refs[q.table[1]], 1);
    assert_int_equal(s.prefix.n, 0);
    store_expect(&s, q.slot, q.table, q.tokens, q.n);
    store_end(&s, &q);
    store_close(&s);
}

static void more_salts_than_roots_evict_each_other(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_open(&s, STORE_SLOTS, 0, &(struct prefix_options){.n_roots = 2});
    store_count_up(ids, STORE_MOST, 0);
    for (int i = 0; i < 8; i++) {
        char key[] = {'a', '|', (char)('a' + i), 0},
             last[] = {'a', '|', (char)('`' + i), 0};
        store_tell(&s, key, ids, 20, 10);
        store_tell(&s, key, ids, 30, 0);
        assert_int_equal(store_depth(&s, key, ids, 30), 30);
        assert_int_equal(store_depth(&s, last, ids, 30), i ? 30 : 0);
        last[2]--;
        assert_int_equal(store_depth(&s, last, ids, 30), 0);
    }
    store_close(&s);
}

static void nodes_are_reclaimed_when_they_run_out(void **state)
{
    struct store s;
    int32_t ids[STORE_MOST];
    (void)state;
    store_open(&s, STORE_SLOTS, 0, &(struct prefix_options){.n_nodes = 12});
    for (int i = 0; i < 60; i++) {
        store_count_up(ids, STORE_MOST, 1000 * i);
        store_tell(&s, i % 2 ? "a|" : "b|", ids, 16 * (1 + i % 9), 0);
        assert_int_equal(store_depth(&s, i % 2 ? "a|" : "b|", ids, 160),
                         16 * (1 + i % 9));
    }
    store_count_up(ids, STORE_MOST, 7);
    store_tell(&s, "a|", ids, 16 * 12, 0); /* longer than all nodes */
    assert_int_equal(store_depth(&s, "a|", ids, 16 * 12), 0);
    for (int i = 0; i < 60; i++) { /* more salts than roots */
        char key[8] = {'a', '|', (char)('a' + i), 0};
        store_tell(&s, key, ids, 30, 0);
        assert_int_equal(store_depth(&s, key, ids, 30), 30);
    }
    store_close(&s);
}

/* ---- at random -------------------------------------------------------------- */

static uint64_t rng_state;

static int below(int n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (int)((rng_state >> 33) % (uint64_t)n);
}

/* Looked for at every length, a path is found ever deeper, and never beyond its end. */
static void expect_steady(const struct store *s, const char *key, const struct mark *q)
{
    int depth = 0;
    struct prefix_match m;
    for (int n = 1; n <= q->n; n++) {
        struct prefix_path path = store_path(key, q->tokens, n);
        prefix_find(&s->prefix, &path, &m);
        assert_true(m.depth >= depth && m.depth <= n && m.known <= n);
        depth = m.depth;
    }
}

/* Each checkpoint has the one above it and the priority that a walk over the whole tree
 * gives, and nothing that may be evicted comes before the first. */
static void expect_order(struct store *s)
{
    struct prefix *p = &s->prefix;
    int32_t first = prefix_order_first(p);
    int n = 0;
    for (int32_t i = 0; i < p->slots->n; i++) {
        struct checkpoint *c = &p->checkpoints[i];
        assert_int_equal(c->node >= 0, c->place.at > 0);
        if (c->node < 0)
            continue;
        n++;
        double priority = c->priority;
        assert_int_equal(c->above, prefix_order_above(p, c->node));
        prefix_order_refresh(p, i);
        assert_true(c->priority == priority);
        assert_true(i == first || prefix_order_before(&p->checkpoints[first], c));
    }
    assert_int_equal(n, p->n);
}

/* Texts begin as one of a few and part from it here and there. */
static int32_t random_token(int text, int at)
{
    return below(40) ? text * 7 + at % 11 : below(3);
}

static void step_of(struct store *s, struct mark *q, const char *key, int text)
{
    static const enum prefix_kind kinds[] = {PREFIX_INTERVAL, PREFIX_PROMPT, PREFIX_TURN,
                                             PREFIX_JUNCTION};
    switch (below(8)) {
    case 0:
        store_keep(s, q, key, kinds[below(4)]);
        break;
    case 1:
        prefix_room(&s->prefix, below(4), below(10), -1);
        break;
    default:
        for (int i = below(12); i >= 0 && q->n < STORE_MOST; i--)
            if (s->pages.n_free || q->n % PAGE_TOKENS || !s->pages.page_bytes)
                store_run(s, q, random_token(text, q->n));
    }
}

struct runner {
    struct mark q;
    const char *key; /* NULL: does not run */
    int text;
};

static void random_begin(struct store *s, struct runner *r)
{
    static const char *const keys[] = {"a|", "a|", "a|", "a|s", "b|"};
    int32_t prompt[STORE_MOST];
    int n = 1 + below(90);
    r->text = below(3);
    for (int t = 0; t < n; t++)
        prompt[t] = random_token(r->text, t);
    if (!prefix_room(&s->prefix, 1, s->pages.n ? 8 : 0, -1))
        return;
    r->key = keys[below(5)];
    struct prefix_path path = store_path(r->key, prompt, n);
    store_begin(s, &r->q, &path);
    if (r->q.n < n) /* a slot without a row is nothing to keep */
        store_run(s, &r->q, prompt[r->q.n]);
}

static void random_end(struct store *s, struct runner *r)
{
    store_expect(s, r->q.slot, r->q.table, r->q.tokens, r->q.n);
    expect_steady(s, r->key, &r->q);
    if (below(4))
        store_give(s, &r->q, r->key);
    store_end(s, &r->q);
    prefix_trim(&s->prefix);
    r->key = NULL;
}

static void random_walk(const struct prefix_options *o, int n_pages, int rounds)
{
    enum { RUNNING = 3 };
    static struct runner r[RUNNING];
    struct store s;
    store_open(&s, STORE_SLOTS, n_pages, o);
    for (int i = 0; i < rounds; i++) {
        struct runner *one = &r[below(RUNNING)];
        if (!one->key)
            random_begin(&s, one);
        else if (below(9) == 0)
            random_end(&s, one);
        else
            step_of(&s, &one->q, one->key, one->text);
        expect_order(&s);
        store_expect_tenants(&s);
    }
    assert_true(s.prefix.counts.hits > (uint64_t)rounds / 200);
    for (int k = 0; k < RUNNING; k++)
        if (r[k].key)
            random_end(&s, &r[k]);
    store_close(&s);
}

static void random_operations_keep_states_right_and_leak_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        rng_state = seed * 0x9E3779B97F4A7C15u;
        random_walk(&plain, STORE_PAGES, 3000);
        random_walk(&plain, 0, 1500);
        random_walk(&(struct prefix_options){.any_depth = true}, STORE_PAGES, 1500);
        random_walk(&(struct prefix_options){.n_nodes = 30}, STORE_PAGES, 1500);
        random_walk(&(struct prefix_options){.n_roots = 2}, STORE_PAGES, 1500);
        random_walk(
            &(struct prefix_options){.cap_bytes = 4 * STORE_SLOT + 9 * STORE_PAGE},
            STORE_PAGES, 1500);
        store_limit_of_a = 3 * STORE_SLOT + 7 * STORE_PAGE;
        random_walk(&plain, STORE_PAGES, 3000);
        random_walk(&plain, 0, 1500);
        random_walk(&(struct prefix_options){.any_depth = true}, STORE_PAGES, 1500);
        random_walk(&(struct prefix_options){.n_nodes = 30}, STORE_PAGES, 1500);
        store_limit_of_a = 0;
    }
}

static void out_of_memory_leaks_nothing(void **state)
{
    struct store s;
    (void)state;
    assert_int_equal(slots_open(&s.slots, 2, STORE_SLOT, NULL), 0);
    assert_int_equal(pages_open(&s.pages, 2, STORE_PAGE, NULL), 0);
    struct prefix_options o = {.n_nodes = 10};
    for (long n = 1;; n++) {
        struct err err = {0};
        mem_fail_after(n);
        int rc = prefix_open(&s.prefix, &o, &s.slots, &s.pages, &err);
        mem_fail_after(0);
        if (rc == 0) {
            assert_int_equal(n, 7);
            break;
        }
        assert_int_equal(err.code, ERR_MEMORY);
    }
    store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_found_by_its_own_tokens_only),
        cmocka_unit_test(a_full_path_is_found_at_any_junction),
        cmocka_unit_test(attention_alone_is_found_at_every_token),
        cmocka_unit_test(tenants_and_salts_never_share),
        cmocka_unit_test(a_match_reports_what_is_stored_beyond_it),
        cmocka_unit_test(the_least_recently_used_is_evicted_first),
        cmocka_unit_test(old_hits_lose_weight),
        cmocka_unit_test(at_equal_age_the_one_that_saves_least_is_evicted_first),
        cmocka_unit_test(a_continued_answer_is_evicted_before_its_continuation),
        cmocka_unit_test(bytes_are_never_above_the_cap),
        cmocka_unit_test(sequences_get_all_but_exempt_checkpoints),
        cmocka_unit_test(a_checkpoint_can_be_adopted),
        cmocka_unit_test(more_salts_than_roots_evict_each_other),
        cmocka_unit_test(nodes_are_reclaimed_when_they_run_out),
        cmocka_unit_test(random_operations_keep_states_right_and_leak_nothing),
        cmocka_unit_test(out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
