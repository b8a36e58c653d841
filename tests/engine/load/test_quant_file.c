/*
 * Quantised tensors of a file: what is written comes back bit for bit and in place, and
 * every way in which a file can break the format is an error that names it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/quant_file.h"
#include "engine/load/safetensors.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    N_OUT = 40,
    N_IN = 70,
    TILES = 2 * 3,
    Q8_BYTES = TILES * 1024,
    SCALES = TILES * 32
};

static const char file[] = "model.safetensors";

static int make(void **state)
{
    static struct maker m;
    maker_open(&m);
    *state = &m;
    return 0;
}

static int unmake(void **state)
{
    maker_close(*state);
    return 0;
}

static float weights_in[N_OUT * N_IN];
static _Alignas(64) uint8_t codes[2][Q8_BYTES];
static _Alignas(64) uint16_t scales[2][SCALES];

/* Two matrices of the same weights: 0 q8, 1 q4. */
static struct matrix matrix(int i)
{
    struct matrix m = {.type = i ? DTYPE_Q4 : DTYPE_Q8, .n_out = N_OUT, .n_in = N_IN};
    struct arena a;
    struct err err = {0};
    for (int k = 0; k < N_OUT * N_IN; k++)
        weights_in[k] = (float)((k * 7919 % 2003) - 1001) / 500;
    arena_init(&a);
    assert_int_equal(quant_pack(&m, &a, DTYPE_F32, weights_in, &err), 0);
    m.panels = memcpy(codes[i], m.panels, matrix_panel_bytes(&m));
    m.scales = memcpy(scales[i], m.scales, matrix_scale_bytes(&m));
    arena_free(&a);
    return m;
}

static int save(const struct maker *mk, const struct quant_file_item *items, size_t n,
                struct err *err)
{
    size_t bytes;
    return quant_file_save(maker_path(mk, file), items, n, &bytes, err);
}

static int take(const struct maker *mk, const char *name, struct matrix *m,
                struct weights *w, struct arena *a, struct err *err)
{
    int rc = safetensors_open(w, mk->dir, err);
    arena_init(a);
    *m = (struct matrix){.n_out = N_OUT, .n_in = N_IN};
    return rc ? rc : quant_file_take(m, w, a, name, err);
}

static void what_is_written_is_taken_in_place(void **state)
{
    const struct maker *mk = *state;
    static const char *const names[] = {"a.weight", "b.weight"};
    static const float vector[3] = {1, 2, 3};
    static const uint16_t half[5] = {1, 2, 3, 4, 5};
    struct tensor single = {.name = "v",
                            .dtype = "F32",
                            .n_dims = 1,
                            .shape = {3},
                            .data = vector,
                            .bytes = 12,
                            .n_values = 3};
    struct tensor narrow = {.name = "h\"",
                            .dtype = "BF16",
                            .type = DTYPE_BF16,
                            .n_dims = 2,
                            .shape = {5, 1},
                            .data = half,
                            .bytes = 10,
                            .n_values = 5};
    struct matrix m[2] = {matrix(0), matrix(1)};
    struct quant_file_item items[] = {{"h\"", DTYPE_BF16, NULL, &narrow},
                                      {"v", DTYPE_BF16, NULL, &single},
                                      {names[0], DTYPE_Q8, &m[0], NULL},
                                      {"w", DTYPE_F32, NULL, &narrow},
                                      {names[1], DTYPE_Q4, &m[1], NULL}};
    struct err err = {0};
    assert_int_equal(save(mk, items, 5, &err), 0);
    struct weights w;
    assert_int_equal(safetensors_open(&w, mk->dir, &err), 0);
    for (int i = 0; i < 2; i++) {
        struct arena a;
        struct matrix got = {.n_out = N_OUT, .n_in = N_IN};
        arena_init(&a);
        assert_true(quant_file_has(&w, names[i]));
        assert_int_equal(quant_file_take(&got, &w, &a, names[i], &err), 0);
        assert_int_equal(got.type, m[i].type);
        assert_int_equal(a.used_bytes, 0); /* borrowed, not copied */
        assert_int_equal((uintptr_t)got.panels % 64, 0);
        assert_int_equal((uintptr_t)got.scales % 64, 0);
        assert_memory_equal(got.panels, codes[i], matrix_panel_bytes(&m[i]));
        assert_memory_equal(got.scales, scales[i], matrix_scale_bytes(&m[i]));
        arena_free(&a);
    }
    assert_int_equal(weights_kept_bytes(&w), matrix_panel_bytes(&m[0]) +
                                                 matrix_panel_bytes(&m[1]) +
                                                 2 * matrix_scale_bytes(&m[0]));
    weights_release_pages(&w); /* what is kept stays readable */
    assert_memory_equal(weights_find(&w, "a.weight.q8")->data, codes[0], Q8_BYTES);
    const struct tensor *v = weights_find(&w, "v"), *h = weights_find(&w, "h\"");
    assert_string_equal(v->dtype, "BF16");
    assert_memory_equal(v->data, ((uint16_t[]){0x3f80, 0x4000, 0x4040}), 6);
    assert_memory_equal(h->data, half, 10);
    assert_string_equal(weights_find(&w, "w")->dtype, "F32");
    assert_int_equal(weights_finish(&w, NULL, &err),
                     -ERR_FORMAT); /* v is not asked for */
    weights_close(&w);
}

static void a_file_of_floats_has_no_mark_of_ours(void **state)
{
    const struct maker *mk = *state;
    static const float vector[3] = {1, 2, 3};
    struct tensor t = {.name = "v",
                       .dtype = "F32",
                       .n_dims = 1,
                       .shape = {3},
                       .data = vector,
                       .bytes = 12,
                       .n_values = 3};
    struct quant_file_item item = {"v", DTYPE_F32, NULL, &t};
    struct err err = {0};
    struct weights w;
    assert_int_equal(save(mk, &item, 1, &err), 0);
    assert_int_equal(safetensors_open(&w, mk->dir, &err), 0);
    assert_null(weights_note(&w, "ssmd.layout"));
    assert_false(quant_file_has(&w, "v"));
    weights_close(&w);
}

static void what_cannot_be_written_leaves_no_file(void **state)
{
    const struct maker *mk = *state;
    struct matrix m = matrix(0);
    struct quant_file_item item = {"a.weight", DTYPE_Q8, &m, NULL};
    struct err err = {0};
    size_t bytes;
    assert_int_equal(quant_file_save("/nonexistent/x", &item, 1, &bytes, &err), -ERR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/x"));
    maker_text(mk, file, "mine");
    assert_int_equal(save(mk, &item, 1, &err), -ERR_IO);
    assert_non_null(strstr(err.text, "exists"));
    assert_int_equal(access(maker_path(mk, file), F_OK), 0); /* is not ours to remove */
}

/* ---- files that break the format -------------------------------------------- */

/* The parts of a header that a case may replace; NULL leaves a part out. */
struct parts {
    const char *layout, *sizes, *codes, *scales;
    int pad; /* spaces behind the header, to move the data */
};

static const struct parts good = {
    "\"ssmd.layout\":\"1\"", "\"ssmd.shape.a.weight\":\"[40,70]\"",
    "\"a.weight.q8\":{\"dtype\":\"U8\",\"shape\":[2,3,8,32,4],"
    "\"data_offsets\":[0,6144]}",
    "\"a.weight.scale\":{\"dtype\":\"F16\",\"shape\":[2,3,32],"
    "\"data_offsets\":[6144,6528]}",
    0};

static char data[Q8_BYTES + SCALES * 2];

static void write_parts(const struct maker *mk, const struct parts *p, size_t bytes)
{
    char header[4096];
    int n =
        snprintf(header, sizeof header, "{\"__metadata__\":{%s%s%s}%s%s%s%s}%*s",
                 p->layout ? p->layout : "", p->layout && p->sizes ? "," : "",
                 p->sizes ? p->sizes : "", p->codes ? "," : "", p->codes ? p->codes : "",
                 p->scales ? "," : "", p->scales ? p->scales : "", p->pad, "");
    assert_in_range(n, 1, sizeof header - 1);
    maker_raw(mk, file, header, data, bytes);
}

static void fill_data(void)
{
    struct matrix m = matrix(0);
    memcpy(data, m.panels, Q8_BYTES);
    memcpy(data + Q8_BYTES, m.scales, SCALES * 2);
}

static void expect_fault(const struct maker *mk, const char *name, const char *first,
                         const char *second)
{
    struct matrix m;
    struct weights w;
    struct arena a;
    struct err err = {0};
    assert_int_equal(take(mk, name, &m, &w, &a, &err), -ERR_FORMAT);
    if (!strstr(err.text, first) || !strstr(err.text, second))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", err.text, first, second);
    arena_free(&a);
    weights_close(&w);
}

static void the_same_file_written_by_hand_is_taken(void **state)
{
    const struct maker *mk = *state;
    struct err err = {0};
    fill_data();
    for (int pad = 0; pad < 65; pad++) { /* any alignment; one in 64 is in place */
        struct parts p = good;
        struct weights w;
        struct arena a;
        struct matrix m;
        p.pad = pad;
        write_parts(mk, &p, sizeof data);
        assert_int_equal(take(mk, "a.weight", &m, &w, &a, &err), 0);
        assert_int_equal((uintptr_t)m.panels % 64, 0);
        assert_int_equal((uintptr_t)m.scales % 64, 0);
        assert_memory_equal(m.panels, data, Q8_BYTES);
        assert_memory_equal(m.scales, data + Q8_BYTES, SCALES * 2);
        assert_int_equal(weights_kept_bytes(&w), a.used_bytes ? 0 : sizeof data);
        assert_int_equal(weights_finish(&w, NULL, &err), 0);
        arena_free(&a);
        weights_close(&w);
    }
}

static void a_header_that_breaks_the_format_is_refused(void **state)
{
    const struct maker *mk = *state;
    static const struct {
        struct parts p;
        const char *first, *second;
    } cases[] = {
        {{.layout = NULL}, "ssmd.layout", "expected \"1\", found nothing"},
        {{.layout = "\"ssmd.layout\":\"2\""}, "ssmd.layout", "found \"2\""},
        {{.layout = "\"ssmd.layout\":1"}, "ssmd.layout", "expected a text"},
        {{.sizes = NULL}, "ssmd.shape.a.weight", "expected \"[40,70]\", found nothing"},
        {{.sizes = "\"ssmd.shape.a.weight\":\"[41,70]\""},
         "ssmd.shape.a.weight",
         "expected \"[40,70]\", found \"[41,70]\""},
        {{.sizes = "\"ssmd.shape.a.weight\":\"[40, 70]\""}, "ssmd.shape", "[40, 70]"},
        {{.codes = "\"a.weight.q8\":{\"dtype\":\"U8\",\"shape\":[2,3,32,8,4],"
                   "\"data_offsets\":[0,6144]}"},
         "tensor a.weight.q8",
         "expected shape [2, 3, 8, 32, 4], found [2, 3, 32, 8, 4]"},
        {{.codes = "\"a.weight.q8\":{\"dtype\":\"U8\",\"shape\":[6144],"
                   "\"data_offsets\":[0,6144]}"},
         "tensor a.weight.q8",
         "found [6144]"},
        {{.codes = "\"a.weight.q8\":{\"dtype\":\"I8\",\"shape\":[2,3,8,32,4],"
                   "\"data_offsets\":[0,6144]}"},
         "tensor a.weight.q8",
         "expected U8, found I8"},
        {{.codes = "\"a.weight.q4\":{\"dtype\":\"U8\",\"shape\":[2,3,8,32,4],"
                   "\"data_offsets\":[0,6144]}"},
         "tensor a.weight.q4",
         "expected shape [2, 3, 4, 32, 4]"},
        {{.scales = "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3,32],"
                    "\"data_offsets\":[6144,6528]}"},
         "tensor a.weight.scale",
         "expected [2, 3, 32], found nothing"},
        {{.scales = "\"a.weight.scale\":{\"dtype\":\"BF16\",\"shape\":[2,3,32],"
                    "\"data_offsets\":[6144,6528]}"},
         "tensor a.weight.scale",
         "expected F16, found BF16"},
        {{.scales = "\"a.weight.scale\":{\"dtype\":\"F16\",\"shape\":[3,2,32],"
                    "\"data_offsets\":[6144,6528]}"},
         "tensor a.weight.scale",
         "expected shape [2, 3, 32]"},
    };
    fill_data();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct parts p = cases[i].p;
        bool no_layout = i == 0, no_sizes = i == 3;
        p.layout = p.layout || no_layout ? p.layout : good.layout;
        p.sizes = p.sizes || no_sizes ? p.sizes : good.sizes;
        p.codes = p.codes ? p.codes : good.codes;
        p.scales = p.scales ? p.scales : good.scales;
        write_parts(mk, &p, sizeof data);
        expect_fault(mk, "a.weight", cases[i].first, cases[i].second);
    }
}

static void codes_and_scales_that_no_quantiser_makes_are_refused(void **state)
{
    const struct maker *mk = *state;
    static const uint16_t odd[] = {0x7c00, 0xfc00, 0x7e00};
    fill_data();
    data[777] = 0;
    write_parts(mk, &good, sizeof data);
    expect_fault(mk, "a.weight", "a.weight.q8", "codes from 1 to 255, found 0");
    for (size_t i = 0; i < 3; i++) {
        fill_data();
        memcpy(data + Q8_BYTES + 2 * 100, &odd[i], 2);
        write_parts(mk, &good, sizeof data);
        expect_fault(mk, "a.weight", "a.weight.scale", "finite");
    }
}

/* 40 outputs of 64, 70 inputs of 96: behind them all is filled up as quant.h says. */
static void what_fills_up_is_as_promised(void **state)
{
    const struct maker *mk = *state;
    enum { LAST_GROUP = 2 * 1024, INPUT_70 = 32 * 4 + 2, PANEL_1 = 3 * 32 };
    fill_data();
    data[LAST_GROUP + INPUT_70] = 127;
    write_parts(mk, &good, sizeof data);
    expect_fault(mk, "a.weight", "a.weight.q8", "codes of 128 behind input 69");
    fill_data();
    data[Q8_BYTES - 1] = 127; /* of an absent output, too */
    write_parts(mk, &good, sizeof data);
    expect_fault(mk, "a.weight", "a.weight.q8", "codes of 128 behind input 69");
    for (int o = 8; o < 32; o += 23) {
        fill_data();
        data[Q8_BYTES + 2 * (PANEL_1 + o)] = 1;
        write_parts(mk, &good, sizeof data);
        expect_fault(mk, "a.weight", "a.weight.scale", "scales of 0 behind output 39");
    }
    data[Q8_BYTES + 2 * (PANEL_1 + 31)] = 0;
    data[Q8_BYTES + 2 * (PANEL_1 + 7)] = 1; /* of the last output: any */
    write_parts(mk, &good, sizeof data);
    struct matrix m;
    struct weights w;
    struct arena a;
    struct err err = {0};
    assert_int_equal(take(mk, "a.weight", &m, &w, &a, &err), 0);
    arena_free(&a);
    weights_close(&w);
}

/* Both nibbles of the same bytes: input 69 is the high one's, 70 and 86 are absent. */
static void what_fills_up_q4_is_as_promised(void **state)
{
    const struct maker *mk = *state;
    enum { Q4_BYTES = TILES * 512, TILE_2 = 2 * 512 };
    struct parts p = good;
    struct matrix m = matrix(1);
    p.codes = "\"a.weight.q4\":{\"dtype\":\"U8\",\"shape\":[2,3,4,32,4],"
              "\"data_offsets\":[0,3072]}";
    p.scales = "\"a.weight.scale\":{\"dtype\":\"F16\",\"shape\":[2,3,32],"
               "\"data_offsets\":[3072,3456]}";
    static const int places[] = {32 * 4 + 2, 3, 2, 32 * 4 - 1}, wrong[] = {1, 0x10};
    for (int i = 0; i < 8; i++) {
        int at = places[i / 2], nibble = wrong[i % 2];
        bool absent = nibble == 0x10 || at == 32 * 4 + 2;
        memcpy(data, m.panels, Q4_BYTES);
        memcpy(data + Q4_BYTES, m.scales, SCALES * 2);
        data[TILE_2 + at] = (char)(data[TILE_2 + at] ^ nibble);
        write_parts(mk, &p, Q4_BYTES + SCALES * 2);
        if (absent) {
            expect_fault(mk, "a.weight", "a.weight.q4", "codes of 0 behind input 69");
            continue;
        }
        struct matrix got;
        struct weights w;
        struct arena a;
        struct err err = {0};
        assert_int_equal(take(mk, "a.weight", &got, &w, &a, &err), 0);
        arena_free(&a);
        weights_close(&w);
    }
}

static void shards_agree_on_the_layout(void **state)
{
    const struct maker *mk = *state;
    static const char *const layouts[] = {"1", "2"};
    struct weights w;
    struct err err = {0};
    char header[400];
    for (int same = 1; same >= 0; same--) {
        for (int i = 0; i < 2; i++) {
            snprintf(header, sizeof header,
                     "{\"__metadata__\":{\"ssmd.layout\":\"%s\"},\"t%d\":{\"dtype\":"
                     "\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                     same ? "1" : layouts[i], i);
            maker_raw(mk, i ? "b.safetensors" : "a.safetensors", header, "x", 1);
        }
        maker_text(
            mk, "model.safetensors.index.json",
            "{\"weight_map\":{\"t0\":\"a.safetensors\",\"t1\":\"b.safetensors\"}}");
        assert_int_equal(safetensors_open(&w, mk->dir, &err), same ? 0 : -ERR_FORMAT);
        if (same)
            weights_close(&w);
    }
    assert_non_null(strstr(err.text, "expected \"1\" as before, found \"2\""));
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(what_is_written_is_taken_in_place),
        WITH_FOLDER(a_file_of_floats_has_no_mark_of_ours),
        WITH_FOLDER(what_cannot_be_written_leaves_no_file),
        WITH_FOLDER(the_same_file_written_by_hand_is_taken),
        WITH_FOLDER(a_header_that_breaks_the_format_is_refused),
        WITH_FOLDER(codes_and_scales_that_no_quantiser_makes_are_refused),
        WITH_FOLDER(what_fills_up_is_as_promised),
        WITH_FOLDER(what_fills_up_q4_is_as_promised),
        WITH_FOLDER(shards_agree_on_the_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
