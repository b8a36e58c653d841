/*
 * State objects of every kind of model: an object with a flipped bit, or of another
 * model, is refused and leaves no state; a valid one resumes with the bits of a miss in
 * every format.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/lib/model_maker.h"
#include "tests/lib/temp_file.h"
#include "tests/lib/warm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 200, BODY_FLIPS = 1000, HEAD = 256, ALIGN = 64 };

/* An object in a file and as bytes, and the ids of its sequence. */
struct kept {
    int fd;
    char *bytes; /* owns */
    size_t len;
    int32_t ids[MOST];
    int n_ids, depth;
};

static struct engine_lease *leased(const struct drive *d, uint64_t id,
                                   enum event_kind kind)
{
    struct engine_lease *s = drive_state(d, id, kind);
    assert_non_null(s);
    return s;
}

static void submit(struct drive *d, struct engine_request r, uint64_t id)
{
    struct err err = {0};
    r.id = id;
    if (engine_submit(d->e, &r, &err))
        fail_msg("%s", err.text);
}

/* A prompt and an answer, saved. */
static void keep(struct kept *k, struct drive *d, int n_prompt, int max_tokens)
{
    struct err err = {0};
    struct stat st;
    *k = (struct kept){.fd = temp_file()};
    warm_draw(k->ids, n_prompt);
    struct engine_request r = warm_request(k->ids, (size_t)n_prompt, max_tokens);
    r.save_state = true;
    drive_clear(d);
    submit(d, r, 1);
    drive_run(d);
    k->n_ids = n_prompt + (int)drive_tokens(d, 1, 0, k->ids + n_prompt, MOST / 2);
    k->depth = k->n_ids - 1;
    struct engine_lease *s = leased(d, 1, EVENT_FINISH);
    assert_int_equal(engine_object_save(d->e, s, k->fd, "t", &err), 0);
    engine_lease_release(d->e, s, true);
    assert_int_equal(fstat(k->fd, &st), 0);
    k->len = (size_t)st.st_size;
    k->bytes = malloc(k->len);
    assert_non_null(k->bytes);
    assert_int_equal(pread(k->fd, k->bytes, k->len, 0), k->len);
    drive_clear(d);
}

static void lose(struct kept *k)
{
    close(k->fd);
    free(k->bytes);
}

static size_t body_at(const struct kept *k)
{
    size_t tokens = (size_t)k->n_ids * sizeof(int32_t);
    return HEAD + (tokens + ALIGN - 1) / ALIGN * ALIGN;
}

static int open_object(struct engine *e, int fd)
{
    struct engine_object o;
    struct history said = {0};
    struct err err = {0};
    int rc = engine_object_open(e, fd, "t", &o, &said, &err);
    assert_true(rc == 0 || (said.n_ids == 0 && err.text[0]));
    history_free(&said);
    return rc;
}

/* The same object in pieces, as one that comes over the wire. */
static int receive(struct engine *e, const char *bytes, size_t len)
{
    struct engine_upload *in = NULL;
    struct err err = {0};
    int rc = engine_upload_open(&in, e, "t", &err);
    for (size_t at = 0, n; rc == 0 && at < len; at += n) {
        n = len - at < 777 ? len - at : 777;
        rc = engine_upload_put(in, bytes + at, n, &err);
    }
    if (rc == 0)
        rc = engine_upload_end(in, &err);
    engine_upload_close(in);
    return rc;
}

/* A request that waits for the state in k; all of its ids and a few more. */
static struct engine_lease *wait_for(struct warm *w, const struct kept *k,
                                     const struct engine_request *asked, uint64_t id)
{
    struct engine_request r = *asked;
    r.state_tokens = k->depth;
    submit(&w->hot, r, id);
    drive_step(&w->hot);
    return leased(&w->hot, id, EVENT_LOAD);
}

static void expect_cold(struct warm *w, const struct engine_request *r, uint64_t id)
{
    warm_expect(w, id, r, "gone on from an object");
    assert_int_equal(drive_finish(&w->hot, id, 0)->n_cached, r->n_ids - 5);
}

/* ---- bits ------------------------------------------------------------------- */

static void flip(struct kept *k, size_t bit)
{
    k->bytes[bit / 8] ^= (char)(1 << bit % 8);
    assert_int_equal(pwrite(k->fd, k->bytes + bit / 8, 1, (off_t)(bit / 8)), 1);
}

/* The head and the tokens are asked when the object is opened, the body when it is
 * loaded, all of it when it arrives. */
static void flip_all(struct warm *w, struct kept *k, struct engine_lease *s)
{
    struct err err = {0};
    size_t head = body_at(k) * 8, body = k->len * 8 - head;
    for (size_t bit = 0; bit < head; bit++) {
        flip(k, bit);
        if (open_object(w->hot.e, k->fd) != -ERR_CONFLICT ||
            receive(w->hot.e, k->bytes, k->len) != -ERR_CONFLICT)
            fail_msg("%s: bit %zu of the head", w->name, bit);
        flip(k, bit);
    }
    for (int i = 0; i < BODY_FLIPS; i++) {
        size_t bit = head + (size_t)warm_below((int)body);
        flip(k, bit);
        if (open_object(w->hot.e, k->fd) != 0 ||
            engine_object_load(w->hot.e, s, k->fd, "t", &err) != -ERR_CONFLICT ||
            receive(w->hot.e, k->bytes, k->len) != -ERR_CONFLICT)
            fail_msg("%s: bit %zu of the body", w->name, bit - head);
        flip(k, bit);
    }
    assert_int_equal(open_object(w->hot.e, k->fd), 0);
    assert_int_equal(receive(w->hot.e, k->bytes, k->len), 0);
}

/* What waited all the while goes on, from the whole object into the same slot and pages.
 */
static void a_flipped_bit_is_detected_and_leaves_no_state(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        struct engine_options o = warm_options(m);
        struct warm w;
        struct kept k;
        struct err err = {0};
        warm_open(&w, m, &o);
        keep(&k, &w.hot, 37, 6);
        k.ids[k.n_ids] = 5;
        struct engine_request r = warm_request(k.ids, (size_t)k.depth + 5, 8);
        struct engine_lease *s = wait_for(&w, &k, &r, 2);
        flip_all(&w, &k, s);
        assert_int_equal(engine_object_load(w.hot.e, s, k.fd, "t", &err), 0);
        engine_lease_release(w.hot.e, s, true);
        drive_run(&w.hot);
        expect_cold(&w, &r, 2);
        lose(&k);
        warm_close(&w);
    }
}

/* ---- whose ------------------------------------------------------------------ */

static void another_models_object_is_refused(void **state)
{
    struct drive d[WARM_ALL];
    struct kept k[WARM_ALL];
    (void)state;
    for (int m = 0; m < WARM_ALL; m++) {
        struct engine_options o = warm_options(m);
        drive_open(&d[m], &o);
        keep(&k[m], &d[m], 20, 4);
    }
    for (int from = 0; from < WARM_ALL; from++)
        for (int to = 0; to < WARM_ALL; to++) {
            int expected = from == to ? 0 : -ERR_CONFLICT;
            assert_int_equal(open_object(d[to].e, k[from].fd), expected);
            assert_int_equal(receive(d[to].e, k[from].bytes, k[from].len), expected);
        }
    for (int m = 0; m < WARM_ALL; m++) {
        lose(&k[m]);
        drive_close(&d[m]);
    }
}

/* The same sizes and other weights: only the model's hash tells them apart. */
static void open_twins(struct drive d[2], int arch)
{
    static const struct maker_sizes sizes = {WARM_VOCAB, 48, 2, 4, 2, 40, WARM_CONTEXT};
    for (uint64_t i = 0; i < 2; i++) {
        struct engine_options o = warm_options(0);
        struct maker m;
        maker_open(&m);
        m.seed += i;
        if (arch == 0)
            maker_transxssm(&m, &sizes);
        else if (arch == 1)
            maker_llama(&m, &sizes);
        else
            maker_pha(&m, &sizes, arch == 2 ? "dss" : "gated");
        o.model_dir = m.dir;
        drive_open(&d[i], &o);
        maker_close(&m);
    }
}

static void an_object_of_other_weights_is_refused(void **state)
{
    (void)state;
    for (int arch = 0; arch < 4; arch++) {
        struct drive d[2];
        struct kept k;
        open_twins(d, arch);
        keep(&k, &d[0], 20, 4);
        assert_int_equal(open_object(d[0].e, k.fd), 0);
        assert_int_equal(open_object(d[1].e, k.fd), -ERR_CONFLICT);
        assert_int_equal(receive(d[1].e, k.bytes, k.len), -ERR_CONFLICT);
        lose(&k);
        drive_close(&d[0]);
        drive_close(&d[1]);
    }
}

/* ---- formats ---------------------------------------------------------------- */

static void move(int model, enum engine_weights weights, enum engine_kv kv)
{
    struct engine_options o = warm_options(model);
    struct drive from;
    struct warm w;
    struct kept k;
    struct err err = {0};
    o.weights = weights;
    o.kv = kv;
    drive_open(&from, &o);
    o.n_threads = 2;
    warm_open(&w, model, &o);
    keep(&k, &from, 41, 9);
    warm_draw(k.ids + k.n_ids, 4);
    struct engine_request r = warm_request(k.ids, (size_t)k.depth + 5, 12);
    struct engine_lease *s = wait_for(&w, &k, &r, 2);
    assert_int_equal(engine_object_load(w.hot.e, s, k.fd, "t", &err), 0);
    engine_lease_release(w.hot.e, s, true);
    drive_run(&w.hot);
    expect_cold(&w, &r, 2);
    lose(&k);
    drive_close(&from);
    warm_close(&w);
}

static void objects_in_every_format_resume_with_the_bits_of_a_miss(void **state)
{
    (void)state;
    for (int m = 0; m < WARM_MODELS; m++) {
        move(m, ENGINE_WEIGHTS_Q8, ENGINE_KV_F16);
        move(m, ENGINE_WEIGHTS_Q8, ENGINE_KV_Q8);
        move(m, ENGINE_WEIGHTS_BF16, ENGINE_KV_F32);
    }
    for (int m = WARM_WIDE; m < WARM_ALL; m++)
        move(m, ENGINE_WEIGHTS_Q4, m % 2 ? ENGINE_KV_F16 : ENGINE_KV_Q8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_is_detected_and_leaves_no_state),
        cmocka_unit_test(another_models_object_is_refused),
        cmocka_unit_test(an_object_of_other_weights_is_refused),
        cmocka_unit_test(objects_in_every_format_resume_with_the_bits_of_a_miss),
    };
    return cmocka_run_group_tests(tests, warm_make, warm_remove);
}
