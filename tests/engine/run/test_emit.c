/*
 * From tokens to events: end tokens, stop ids, stop strings across tokens, limits, and
 * the order and sum of the events. The model is a chain: its next token is the
 * successor of the last, so that every text is known in advance. The tokenizer has
 * whole words and parts of characters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "tests/lib/drive.h"
#include "tests/lib/model_maker.h"
#include "tests/lib/temp_file.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Ids of the vocabulary; the chain goes A B C D E SMILE1 SMILE2 F END A … */
enum { A, B, C, D, E, SMILE1, SMILE2, F, END, BROKEN, Z, N_TOKENS, VOCAB = 16 };

static const char tokenizer[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":8,\"content\":\"<end>\",\"special\":true,"
    "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false}],"
    "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
    "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,"
    "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
    "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
    "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{\"alpha\":0,\"bet\":1,"
    "\"\\u0120cat\":2,\"do\":3,\"gs\":4,\"\\u00f0\\u0141\":5,\"\\u013a\\u0122\":6,\"fin\":7,"
    "\"\\u00e2\\u0124\":9,\"zz\":10},\"merges\":[]}}";

static const int32_t next[VOCAB] = {B, C, D, E, SMILE1, SMILE2, F, END,
                                    A, A, A, A, A,      A,      A, A};
static struct maker model;
static struct drive d;

static int open_model(void **state)
{
    (void)state;
    maker_open(&model);
    maker_chain(&model, next, VOCAB, 256, END);
    maker_text(&model, "tokenizer.json", tokenizer);
    struct engine_options o = {.model_dir = model.dir, .n_threads = 1, .max_seqs = 6};
    drive_open(&d, &o);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    drive_close(&d);
    maker_close(&model);
    return 0;
}

static const int32_t prompt[] = {Z, A};

/* Runs a request after the prompt "zzalpha"; its finish event. */
static const struct event *run(const struct gen_params *g)
{
    drive_clear(&d);
    drive_submit(&d, 1, prompt, 2, g);
    drive_run(&d);
    const struct event *ev = drive_finish(&d, 1, g->first_choice);
    assert_non_null(ev);
    assert_int_equal(ev->n_prompt, 2);
    return ev;
}

static void expect_tokens(const int32_t *want, size_t n)
{
    int32_t got[256];
    assert_int_equal(drive_tokens(&d, 1, 0, got, 256), n);
    assert_memory_equal(got, want, n * sizeof *got);
}

/* ---- ends ------------------------------------------------------------------- */

static void the_end_token_ends_and_is_not_shown(void **state)
{
    struct gen_params g = drive_greedy(50);
    const struct event *ev = run(&g);
    (void)state;
    assert_int_equal(ev->reason, FINISH_STOP);
    assert_int_equal(ev->stop_id, END);
    assert_int_equal(ev->stop_string, -1);
    assert_int_equal(ev->n_generated, 8); /* the end token is one of them */
    expect_tokens((const int32_t[]){B, C, D, E, SMILE1, SMILE2, F}, 7);
    assert_string_equal(drive_text(&d, 1, 0), "bet catdogs\xF0\x9F\x98\x80"
                                              "fin");
    assert_int_equal(drive_count(&d, 1, EVENT_START), 1);
    assert_int_equal(drive_count(&d, 1, EVENT_FINISH), 1);
}

static void ignoring_the_end_token_goes_on(void **state)
{
    struct gen_params g = drive_greedy(12);
    (void)state;
    g.ignore_eos = true;
    const struct event *ev = run(&g);
    assert_int_equal(ev->reason, FINISH_LENGTH);
    assert_int_equal(ev->stop_id, -1);
    assert_int_equal(ev->n_generated, 12);
    expect_tokens((const int32_t[]){B, C, D, E, SMILE1, SMILE2, F, END, A, B, C, D}, 12);
    for (size_t i = 0; i < d.n; i++)
        if (d.notes[i].ev.kind == EVENT_TOKEN)
            assert_int_equal(d.notes[i].ev.special, d.notes[i].ev.id == END);
    /* a special token gives no text */
    assert_string_equal(drive_text(&d, 1, 0), "bet catdogs\xF0\x9F\x98\x80"
                                              "finalphabet catdo");
}

static void a_stop_id_ends_like_the_end_token(void **state)
{
    static const int32_t stops[] = {Z, D};
    struct gen_params g = drive_greedy(50);
    (void)state;
    g.stop_ids = stops;
    g.n_stop_ids = 2;
    for (int ignore = 0; ignore < 2;
         ignore++) { /* ignore_eos does not concern stop ids */
        g.ignore_eos = ignore;
        const struct event *ev = run(&g);
        assert_int_equal(ev->reason, FINISH_STOP);
        assert_int_equal(ev->stop_id, D);
        assert_int_equal(ev->n_generated, 3);
        expect_tokens((const int32_t[]){B, C}, 2);
    }
}

static void the_limit_ends_with_what_was_held_back(void **state)
{
    (void)state;
    for (int max = 1; max <= 7; max++) {
        struct gen_params g = drive_greedy(max);
        const struct event *ev = run(&g);
        assert_int_equal(ev->reason, FINISH_LENGTH);
        assert_int_equal(ev->n_generated, max);
        expect_tokens((const int32_t[]){B, C, D, E, SMILE1, SMILE2, F}, (size_t)max);
    }
    struct gen_params g = drive_greedy(5); /* cut inside a character */
    run(&g);
    assert_string_equal(drive_text(&d, 1, 0), "bet catdogs\xEF\xBF\xBD");
}

static void min_tokens_delays_the_end(void **state)
{
    struct gen_params g = drive_greedy(20);
    (void)state;
    g.min_tokens = 8; /* the eighth would be the end */
    const struct event *ev = run(&g);
    assert_true(ev->n_generated > 8);
    int32_t got[64];
    size_t n = drive_tokens(&d, 1, 0, got, 64);
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(got[i], END);
    g.min_tokens = 7;
    ev = run(&g);
    assert_int_equal(ev->stop_id, END);
    assert_int_equal(ev->n_generated, 8);
}

static void without_tokens_to_generate_the_prompt_is_prefilled(void **state)
{
    struct gen_params g = drive_greedy(0);
    (void)state;
    g.n = 2;
    const struct event *ev = run(&g);
    assert_int_equal(ev->reason, FINISH_LENGTH);
    assert_int_equal(ev->n_generated, 0);
    assert_non_null(drive_finish(&d, 1, 1));
    assert_int_equal(drive_count(&d, 1, EVENT_TOKEN), 0);
}

/* ---- stop strings ----------------------------------------------------------- */

static const struct event *run_stops(const char *const *stops, size_t n, bool keep,
                                     int max)
{
    size_t lens[ENGINE_MAX_STOPS];
    struct gen_params g = drive_greedy(max);
    for (size_t i = 0; i < n; i++)
        lens[i] = strlen(stops[i]);
    g.stops = stops;
    g.stop_lens = lens;
    g.n_stops = n;
    g.keep_stop = keep;
    g.logprobs = 3;
    return run(&g);
}

static void a_stop_string_cuts_the_text_before_it(void **state)
{
    static const struct {
        const char *stop, *text, *kept;
        size_t n_tokens; /* in the events */
        int n_generated;
    } cases[] = {
        {"bet", "", "bet", 0, 1},
        {" cat", "bet", "bet cat", 1, 2},
        {"et c", "b", "bet c", 1, 2},             /* across two tokens */
        {"tdog", "bet ca", "bet catdog", 2, 4},   /* across three */
        {"dogs", "bet cat", "bet catdogs", 2, 4}, /* whole tokens */
        {"s\xF0\x9F\x98\x80"
         "f",
         "bet catdog",
         "bet catdogs\xF0\x9F\x98\x80"
         "f",
         4, 7},
        {"bet catdogs\xF0\x9F\x98\x80"
         "fin",
         "",
         "bet catdogs\xF0\x9F\x98\x80"
         "fin",
         0, 7},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct event *ev = run_stops(&cases[i].stop, 1, false, 50);
        assert_int_equal(ev->reason, FINISH_STOP);
        assert_int_equal(ev->stop_string, 0);
        assert_int_equal(ev->stop_id, -1);
        assert_int_equal(ev->n_generated, cases[i].n_generated);
        assert_string_equal(drive_text(&d, 1, 0), cases[i].text);
        assert_int_equal(drive_count(&d, 1, EVENT_TOKEN), cases[i].n_tokens);
        ev = run_stops(&cases[i].stop, 1, true, 50);
        assert_int_equal(ev->stop_string, 0);
        assert_string_equal(drive_text(&d, 1, 0), cases[i].kept);
    }
}

static void a_stop_string_that_only_begins_changes_nothing(void **state)
{
    static const char *const stops[] = {"catdoX", "s\xF0\x9F\x98\x81", "finale"};
    (void)state;
    const struct event *ev = run_stops(stops, 3, false, 50);
    assert_int_equal(ev->stop_id, END);
    assert_string_equal(drive_text(&d, 1, 0), "bet catdogs\xF0\x9F\x98\x80"
                                              "fin");
    assert_int_equal(drive_count(&d, 1, EVENT_TOKEN), 7);
    ev = run_stops(stops, 3, false, 3); /* the limit comes while "catdo" is held back */
    assert_int_equal(ev->reason, FINISH_LENGTH);
    assert_string_equal(drive_text(&d, 1, 0), "bet catdo");
}

static void the_string_that_ends_first_wins(void **state)
{
    static const char *const stops[] = {"dogs", "at", "catd"};
    (void)state;
    const struct event *ev = run_stops(stops, 3, false, 50);
    assert_int_equal(ev->stop_string, 1);
    assert_string_equal(drive_text(&d, 1, 0), "bet c");
}

static void the_last_token_may_complete_a_stop_string(void **state)
{
    static const char *const stops[] = {"dogs"};
    (void)state;
    const struct event *ev = run_stops(stops, 1, false, 4); /* the fourth is "gs" */
    assert_int_equal(ev->reason, FINISH_STOP);
    assert_int_equal(ev->stop_string, 0);
    assert_int_equal(ev->n_generated, 4);
}

/* Held back tokens keep the log-probabilities of the step that sampled them. */
static void what_is_held_back_keeps_its_logprobs(void **state)
{
    static const char *const held[] = {"bet catdogs\xF0\x9F\x98\x80"
                                       "finX"};
    float alone[16], later[16];
    size_t n = 0, k = 0;
    (void)state;
    run_stops(held, 0, false, 7);
    for (size_t i = 0; i < d.n; i++)
        if (d.notes[i].ev.kind == EVENT_TOKEN)
            alone[n++] = d.notes[i].ev.top[2].logprob;
    run_stops(held, 1, false, 7);
    for (size_t i = 0; i < d.n; i++)
        if (d.notes[i].ev.kind == EVENT_TOKEN) {
            assert_int_equal(d.notes[i].ev.top[0].id, d.notes[i].ev.id);
            later[k++] = d.notes[i].ev.top[2].logprob;
        }
    assert_int_equal(n, 7);
    assert_int_equal(k, 7);
    assert_memory_equal(alone, later, n * sizeof *alone);
}

/* ---- events ----------------------------------------------------------------- */

static void the_text_is_what_decoding_gives(void **state)
{
    struct gen_params g = drive_greedy(40);
    int32_t got[64];
    struct buf text = {0};
    struct err err = {0};
    (void)state;
    struct logit_bias no[] = {{11, -100}, {12, -100}, {13, -100}, {14, -100}, {15, -100}};
    g.bias = no; /* these ids have no token */
    g.n_bias = 5;
    g.ignore_eos = true;
    g.temperature = 3;
    for (g.seed = 0; g.seed < 30; g.seed++) { /* broken characters too */
        run(&g);
        size_t n = drive_tokens(&d, 1, 0, got, 64);
        buf_reset(&text);
        assert_int_equal(engine_decode(d.e, got, n, true, &text, &err), 0);
        struct buf whole = {0}; /* as UTF-8, as a JSON string is */
        struct buf said = {0};
        buf_json_string(&whole, text.data ? text.data : "", text.len);
        buf_json_string(&said, drive_text(&d, 1, 0), strlen(drive_text(&d, 1, 0)));
        if (!strstr(whole.data,
                    "\xEF\xBF\xBD")) /* how many there are is the stream's matter */
            assert_string_equal(said.data, whole.data);
        buf_free(&whole);
        buf_free(&said);
    }
    buf_free(&text);
}

static void the_prompts_logprobs_come_first_and_in_order(void **state)
{
    struct gen_params g = drive_greedy(3);
    size_t n = 0;
    (void)state;
    g.prompt_logprobs = true;
    g.logprobs = 2;
    run(&g);
    assert_int_equal(d.notes[n].ev.kind, EVENT_START);
    const struct event *first = &d.notes[++n].ev, *second = &d.notes[++n].ev;
    assert_int_equal(first->kind, EVENT_PROMPT);
    assert_int_equal(first->id, Z);
    assert_true(isnan(first->logprob));
    assert_int_equal(first->n_top, 0);
    assert_int_equal(second->kind, EVENT_PROMPT);
    assert_int_equal(second->id, A);
    assert_true(second->logprob < 0 && second->n_top == 2);
    assert_int_equal(second->top[0].id, A); /* A follows Z */
    assert_true(second->top[0].logprob == second->logprob);
    while (++n < d.n && d.notes[n].ev.kind == EVENT_TOKEN) {
        assert_int_equal(d.notes[n].ev.n_top, 2);
        assert_true(d.notes[n].ev.logprob == d.notes[n].ev.top[0].logprob);
    }
    assert_int_equal(d.notes[n].ev.kind, EVENT_FINISH);
    assert_int_equal(n, d.n - 1);
    g.logprobs = -1;
    run(&g);
    for (size_t i = 0; i < d.n; i++)
        if (d.notes[i].ev.kind == EVENT_TOKEN)
            assert_true(isnan(d.notes[i].ev.logprob) && d.notes[i].ev.n_top == 0);
}

static void choices_are_numbered_from_the_first(void **state)
{
    struct gen_params g = drive_greedy(5);
    char texts[3][64];
    (void)state;
    g.n = 3;
    g.temperature = 2;
    g.logprobs = 0;
    run(&g);
    for (int c = 0; c < 3; c++)
        snprintf(texts[c], sizeof texts[c], "%s", drive_text(&d, 1, c));
    g.first_choice = 4;
    run(&g);
    for (int c = 0; c < 3; c++) { /* numbered on, but the same draws */
        assert_non_null(drive_finish(&d, 1, 4 + c));
        assert_string_equal(drive_text(&d, 1, 4 + c), texts[c]);
    }
    assert_int_equal(drive_count(&d, 1, EVENT_FINISH), 3);
    assert_int_equal(drive_count(&d, 1, EVENT_START), 1);
    for (size_t i = 0; i < d.n; i++)
        if (d.notes[i].ev.kind == EVENT_TOKEN)
            assert_true(d.notes[i].ev.logprob < 0 && d.notes[i].ev.n_top == 0);
}

static void times_are_those_of_the_steps(void **state)
{
    struct gen_params g = drive_greedy(4);
    (void)state;
    drive_clear(&d);
    d.now_ns = 1000;
    drive_submit(&d, 1, prompt, 2, &g);
    drive_run(&d);
    const struct event *ev = drive_finish(&d, 1, 0);
    assert_int_equal(ev->submit_ns, 1000);
    assert_int_equal(ev->admit_ns, 1000);
    assert_int_equal(ev->prefill_ns, 1000);
    assert_int_equal(ev->first_ns, 1000);
    assert_int_equal(ev->now_ns, 1003);
    drive_clear(&d);
    drive_submit(&d, 1, prompt, 2, &g);
    engine_cancel(d.e, 1, FINISH_DRAIN); /* never ran */
    ev = drive_finish(&d, 1, 0);
    assert_int_equal(ev->reason, FINISH_DRAIN);
    assert_int_equal(ev->admit_ns, 0);
    assert_int_equal(ev->first_ns, 0);
    assert_int_equal(ev->n_generated, 0);
}

static void a_cancelled_choice_emits_held_back_text(void **state)
{
    static const char *const stops[] = {"betX"};
    size_t len = 4;
    struct gen_params g = drive_greedy(50);
    (void)state;
    g.stops = stops;
    g.stop_lens = &len;
    g.n_stops = 1;
    drive_clear(&d);
    drive_submit(&d, 1, prompt, 2, &g);
    drive_step(&d);
    assert_int_equal(drive_count(&d, 1, EVENT_TOKEN),
                     0); /* "bet" may become the string */
    engine_cancel(d.e, 1, FINISH_ABORT);
    assert_int_equal(drive_count(&d, 1, EVENT_TOKEN), 1);
    assert_string_equal(drive_text(&d, 1, 0), "bet");
    assert_int_equal(drive_finish(&d, 1, 0)->reason, FINISH_ABORT);
}

/* Half a character is held back; at the end it is U+FFFD, which is the stop string. */
static void a_stop_string_at_the_end_does_not_undo_an_abort(void **state)
{
    static const char *const stops[] = {"\xEF\xBF\xBD"};
    size_t len = 3;
    struct gen_params g = drive_greedy(50);
    (void)state;
    g.stops = stops;
    g.stop_lens = &len;
    g.n_stops = 1;
    drive_clear(&d);
    drive_submit(&d, 1, prompt, 2, &g);
    for (int i = 0; i < 5; i++)
        drive_step(&d);
    engine_cancel(d.e, 1, FINISH_ABORT);
    const struct event *ev = drive_finish(&d, 1, 0);
    assert_int_equal(ev->n_generated, 5);
    assert_int_equal(ev->reason, FINISH_ABORT);
    assert_int_equal(ev->stop_string, -1);
    g.max_tokens = 5;
    ev = run(&g);
    assert_int_equal(ev->reason, FINISH_STOP);
    assert_int_equal(ev->stop_string, 0);
}

static void out_of_memory_with_a_tokenizer_leaks_nothing(void **state)
{
    static const char *const stops[] = {"one", "two"};
    static const size_t lens[] = {3, 3};
    struct engine_options o = {.model_dir = model.dir, .n_threads = 1, .max_seqs = 2};
    struct gen_params g = drive_greedy(5);
    struct engine *e = NULL;
    int failures = 0, rc = -1;
    (void)state;
    for (long n = 1; rc; n++) {
        struct err err = {0};
        mem_fail_after(n);
        rc = engine_open(&e, &o, &err);
        mem_fail_after(0);
        if (rc && (rc != -ERR_MEMORY || err.code != ERR_MEMORY))
            fail_msg("allocation %ld: %d: %s", n, rc, err.text);
        failures += rc != 0;
    }
    engine_close(e);
    assert_true(failures > 20);
    g.n = 3;
    g.stops = stops;
    g.stop_lens = lens;
    g.n_stops = 2;
    struct engine_request r = {.id = 1, .ids = prompt, .n_ids = 2, .gen = g};
    failures = 0;
    rc = -1;
    for (long n = 1; rc; n++) {
        struct err err = {0};
        mem_fail_after(n);
        rc = engine_submit(d.e, &r, &err);
        mem_fail_after(0);
        assert_true(rc == 0 || (rc == -ERR_MEMORY && err.code == ERR_MEMORY));
        failures += rc != 0;
    }
    assert_true(failures >= 4); /* the request and each choice's detokeniser */
    engine_cancel(d.e, 1, FINISH_ABORT);
}

/* Weights of infinity: the first row has no finite logit. */
static void a_logit_that_is_no_number_ends_with_an_error(void **state)
{
    static const struct maker_sizes sizes = {11, 8, 1, 2, 1, 6, 32};
    struct gen_params g = drive_greedy(5);
    struct maker m;
    struct drive broken;
    float head[88];
    (void)state;
    for (int i = 0; i < 88; i++)
        head[i] = i == 40 ? INFINITY : 0.1f;
    maker_open(&m);
    maker_llama(&m, &sizes);
    FILE *f = fopen(maker_path(&m, "model.safetensors"), "rb+");
    assert_non_null(f);
    fseek(f, -(long)sizeof head, SEEK_END); /* lm_head is the last tensor */
    assert_int_equal(fwrite(head, sizeof head, 1, f), 1);
    fclose(f);
    struct engine_options o = {
        .model_dir = m.dir, .n_threads = 1, .max_seqs = 3, .no_tokenizer = true};
    drive_open(&broken, &o);
    g.n = 3;
    drive_submit(&broken, 1, prompt, 1, &g);
    drive_run(&broken);
    for (int c = 0; c < 3; c++) {
        assert_int_equal(drive_finish(&broken, 1, c)->reason, FINISH_ERROR);
        assert_int_equal(drive_finish(&broken, 1, c)->n_generated, 0);
    }
    struct engine_stats l;
    engine_stats(broken.e, &l);
    assert_int_equal(l.slots_used + l.pages_used + l.running, 0);
    drive_close(&broken);
    maker_close(&m);
}

/* ---- answers whose state is saved ------------------------------------------- */

struct end_case {
    const char *stop; /* NULL: none */
    bool keep;
    int max;
    int32_t stop_id; /* -1: none */
    const char *text, *unseen;
    size_t n_ids; /* unseen */
};

static void run_saved(const struct end_case *c)
{
    struct err err;
    size_t len = c->stop ? strlen(c->stop) : 0;
    struct engine_request r = {.id = 1,
                               .ids = prompt,
                               .n_ids = 2,
                               .save_state = true,
                               .gen = drive_greedy(c->max)};
    r.gen.keep_stop = c->keep;
    r.gen.stops = &c->stop;
    r.gen.stop_lens = &len;
    r.gen.n_stops = c->stop != NULL;
    r.gen.stop_ids = &c->stop_id;
    r.gen.n_stop_ids = c->stop_id >= 0;
    drive_clear(&d);
    assert_int_equal(engine_submit(d.e, &r, &err), 0);
    drive_run(&d);
}

/* The prompt "zzalpha" and the answer, with its end or without, are the conversation. */
static void expect_continued(const struct history *said, const char *text,
                             const char *unseen)
{
    char whole[128];
    for (int with = 0; with < 2; with++) {
        struct err err;
        size_t at, len = (size_t)snprintf(whole, sizeof whole, "zzalpha%s%s", text,
                                          with ? unseen : "");
        struct engine_prompt p = {.text = whole, .len = len};
        assert_int_equal(engine_match(d.e, said, &p, &at, &err), 0);
        assert_int_equal(at, len);
    }
}

static void a_saved_answer_records_its_end(void **state)
{
    (void)state;
    static const struct end_case cases[] = {
        {NULL, false, 4, -1, "bet catdogs", "", 0},
        {NULL, false, 5, -1, "bet catdogs", "", 0}, /* inside a character */
        {NULL, false, 50, -1,
         "bet catdogs\xF0\x9F\x98\x80"
         "fin",
         "<end>", 1},
        {NULL, false, 50, D, "bet cat", "do", 1},
        {NULL, false, 50, SMILE2, "bet catdogs", "\xF0\x9F\x98\x80", 1},
        {" cat", false, 50, -1, "bet", " cat", 1},
        {"dogs", false, 50, -1, "bet cat", "dogs", 2},
        {"t c", false, 50, -1, "be", "t cat", 1},
        {"a", false, 50, -1, "bet c", "at", 0},
        {"cat", false, 50, -1, "bet ", "cat", 0},
        {"ca", true, 50, -1, "bet ca", "t", 0},
        {"cat", true, 50, -1, "bet cat", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine_object o;
        struct history said;
        struct buf unseen = {0};
        struct err err;
        size_t n;
        int fd = temp_file();
        run_saved(&cases[i]);
        assert_string_equal(drive_text(&d, 1, 0), cases[i].text);
        struct engine_lease *l = drive_state(&d, 1, EVENT_FINISH);
        engine_lease_unseen(d.e, l, &n, &unseen);
        assert_int_equal(n, cases[i].n_ids);
        assert_int_equal(unseen.len, strlen(cases[i].unseen));
        assert_memory_equal(unseen.data ? unseen.data : "", cases[i].unseen, unseen.len);
        assert_int_equal(engine_object_save(d.e, l, fd, "", &err), 0);
        engine_lease_release(d.e, l, true);
        assert_int_equal(engine_object_open(d.e, fd, "", &o, &said, &err), 0);
        expect_continued(&said, cases[i].text, cases[i].unseen);
        history_free(&said);
        buf_free(&unseen);
        close(fd);
    }
}

/* The prompt ends in the first half of a character. */
static void an_answer_may_begin_inside_a_character(void **state)
{
    (void)state;
    static const int32_t ids[] = {Z, A, B, C, D, E, SMILE1};
    static const char *const texts[] = {"\xEF\xBF\xBD\xEF\xBF\xBD"
                                        "fin",
                                        "\xF0\x9F\x98\x80"
                                        "fin"};
    for (int resume = 0; resume < 2; resume++) {
        struct err err;
        struct engine_request r = {
            .id = 1, .ids = ids, .n_ids = 7, .resume = resume, .gen = drive_greedy(2)};
        drive_clear(&d);
        assert_int_equal(engine_submit(d.e, &r, &err), 0);
        drive_run(&d);
        assert_string_equal(drive_text(&d, 1, 0), texts[resume]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_token_ends_and_is_not_shown),
        cmocka_unit_test(ignoring_the_end_token_goes_on),
        cmocka_unit_test(a_stop_id_ends_like_the_end_token),
        cmocka_unit_test(the_limit_ends_with_what_was_held_back),
        cmocka_unit_test(min_tokens_delays_the_end),
        cmocka_unit_test(without_tokens_to_generate_the_prompt_is_prefilled),
        cmocka_unit_test(a_stop_string_cuts_the_text_before_it),
        cmocka_unit_test(a_stop_string_that_only_begins_changes_nothing),
        cmocka_unit_test(the_string_that_ends_first_wins),
        cmocka_unit_test(the_last_token_may_complete_a_stop_string),
        cmocka_unit_test(what_is_held_back_keeps_its_logprobs),
        cmocka_unit_test(the_text_is_what_decoding_gives),
        cmocka_unit_test(the_prompts_logprobs_come_first_and_in_order),
        cmocka_unit_test(choices_are_numbered_from_the_first),
        cmocka_unit_test(times_are_those_of_the_steps),
        cmocka_unit_test(a_cancelled_choice_emits_held_back_text),
        cmocka_unit_test(a_stop_string_at_the_end_does_not_undo_an_abort),
        cmocka_unit_test(out_of_memory_with_a_tokenizer_leaks_nothing),
        cmocka_unit_test(a_logit_that_is_no_number_ends_with_an_error),
        cmocka_unit_test(a_saved_answer_records_its_end),
        cmocka_unit_test(an_answer_may_begin_inside_a_character),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
