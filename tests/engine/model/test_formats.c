/*
 * Models opened with matrices in each format: what becomes what, what the model counts
 * and reports, what a tied head shares, and that a model written out and opened again
 * holds the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/kernel/pool.h"
#include "engine/model/export.h"
#include "tests/lib/model_maker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct maker made;

/* Wide enough that q4 is taken; so many heads that steps alone keep dt_proj from it. */
static const struct maker_sizes sizes = {70, 384, 2, 64, 64, 352, 32};
static const int64_t per_layer_ffn = 3 * 384 * 352;

static int make(void **state)
{
    (void)state;
    maker_open(&made);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    maker_close(&made);
    return 0;
}

static void open_as(struct model *m, const char *dir, enum engine_weights weights)
{
    struct err err = {0};
    struct model_options o = {.dir = dir, .weights = weights};
    if (model_open(m, &o, &err) != 0)
        fail_msg("%s", err.text);
}

static const struct bound *find(const struct model *m, const char *name)
{
    for (const struct bound *x = m->bound.first; x; x = x->next)
        if (strcmp(x->name, name) == 0)
            return x;
    fail_msg("%s was not bound", name);
    return NULL;
}

static void expect_sum(const struct model *m)
{
    struct holding held;
    size_t sum = 0;
    model_holding(m, &held);
    for (int t = 0; t < DTYPE_N; t++)
        sum += held.bytes[t];
    assert_int_equal(sum, model_weights_bytes(m));
    assert_int_equal(held.types, m->type_mask);
}

static void each_matrix_becomes_what_its_use_allows(void **state)
{
    (void)state;
    static const struct {
        enum engine_weights ask;
        enum dtype matrix, table, steps;
    } cases[] = {{ENGINE_WEIGHTS_OWN, DTYPE_F32, DTYPE_F32, DTYPE_F32},
                 {ENGINE_WEIGHTS_F32, DTYPE_F32, DTYPE_F32, DTYPE_F32},
                 {ENGINE_WEIGHTS_BF16, DTYPE_BF16, DTYPE_BF16, DTYPE_F32},
                 {ENGINE_WEIGHTS_Q8, DTYPE_Q8, DTYPE_Q8, DTYPE_F32},
                 {ENGINE_WEIGHTS_Q4, DTYPE_Q4, DTYPE_Q8, DTYPE_F32}};
    uint64_t hashes[5];
    maker_transxssm(&made, &sizes);
    for (int i = 0; i < 5; i++) {
        struct model m;
        open_as(&m, made.dir, cases[i].ask);
        assert_int_equal(find(&m, "model.word_embed.weight")->m.type, cases[i].table);
        assert_int_equal(find(&m, "model.layers.0.ssd.x_proj.weight")->m.type,
                         cases[i].matrix);
        assert_int_equal(find(&m, "model.layers.1.attn.k_proj.weight")->m.type,
                         cases[i].matrix);
        assert_int_equal(find(&m, "model.layers.0.ssd.dt_proj.weight")->m.type,
                         cases[i].steps);
        assert_int_equal(m.head.type, cases[i].table);
        assert_int_equal(m.type_mask, 1u << cases[i].matrix | 1u << cases[i].table);
        int quantised = cases[i].matrix >= DTYPE_FLOATS;
        assert_int_equal(m.quant_in, quantised ? 384 : 0);
        assert_int_equal(m.n_params, 70 * 384 + 2 * per_layer_ffn + 8 * 384 * 384 +
                                         64 * 384 + 2 * 64 + 9 * 384);
        expect_sum(&m);
        hashes[i] = m.hash;
        model_close(&m);
    }
    assert_true(hashes[ENGINE_WEIGHTS_OWN] ==
                hashes[ENGINE_WEIGHTS_F32]); /* the same values */
    for (int i = ENGINE_WEIGHTS_F32; i < 5; i++)
        for (int j = i + 1; j < 5; j++)
            assert_true(hashes[i] != hashes[j]);
}

static void a_tied_head_shares_the_quantised_table(void **state)
{
    (void)state;
    struct model m, plain;
    maker_transxssm(&made, &sizes);
    open_as(&m, made.dir, ENGINE_WEIGHTS_Q4);
    open_as(&plain, made.dir, ENGINE_WEIGHTS_F32);
    assert_ptr_equal(m.head.panels, m.embed.table.m.panels);
    assert_ptr_equal(m.head.scales, m.embed.table.m.scales);
    assert_null(m.embed.table.rows);
    const float *rows = plain.embed.table.rows;
    for (int t = 0; t < 70; t++) {
        float row[384], most = 0, off = 0;
        quant_row(&m.embed.table.m, t, row);
        for (int k = 0; k < 384; k++) {
            float w = rows[t * 384 + k], d = w - row[k];
            most = w * w > most ? w * w : most;
            off = d * d > off ? d * d : off;
        }
        assert_true(off > 0 && off < most / (240 * 240));
    }
    model_close(&plain);
    model_close(&m);
}

static void an_untied_head_is_a_table_of_its_own(void **state)
{
    (void)state;
    struct model m;
    maker_llama(&made, &sizes);
    open_as(&m, made.dir, ENGINE_WEIGHTS_Q4);
    assert_int_equal(m.head.type, DTYPE_Q8);
    assert_ptr_not_equal(m.head.panels, m.embed.table.m.panels);
    assert_int_equal(find(&m, "lm_head.weight")->role, QUANT_TABLE);
    expect_sum(&m);
    model_close(&m);
}

/* Another folder with the config and the weights that m holds. */
static void write_out(const struct model *m, struct maker *out)
{
    char config[2048];
    struct err err = {0};
    size_t bytes;
    FILE *f = fopen(maker_path(&made, "config.json"), "rb");
    assert_non_null(f);
    size_t n = fread(config, 1, sizeof config, f);
    fclose(f);
    maker_open(out);
    maker_file(out, "config.json", config, n);
    assert_int_equal(export_model(m, maker_path(out, "model.safetensors"), &bytes, &err),
                     0);
}

static void same_matrices(const struct model *a, const struct model *b)
{
    const struct bound *x = a->bound.first;
    for (; x; x = x->next) {
        const struct bound *y = find(b, x->name);
        assert_int_equal(x->m.type, y->m.type);
        if (x->m.type < DTYPE_FLOATS)
            continue;
        assert_memory_equal(x->m.panels, y->m.panels, matrix_panel_bytes(&x->m));
        assert_memory_equal(x->m.scales, y->m.scales, matrix_scale_bytes(&x->m));
    }
    assert_int_equal(a->n_params, b->n_params);
    assert_int_equal(a->type_mask, b->type_mask);
}

static void a_model_that_was_written_out_holds_the_same(void **state)
{
    (void)state;
    static const enum engine_weights asks[] = {ENGINE_WEIGHTS_F32, ENGINE_WEIGHTS_BF16,
                                               ENGINE_WEIGHTS_Q8, ENGINE_WEIGHTS_Q4};
    for (int kind = 0; kind < 4; kind++)
        for (int i = 0; i < 4; i++) {
            struct model m, again;
            struct maker out;
            if (kind == 0)
                maker_transxssm(&made, &sizes);
            else if (kind == 1)
                maker_llama(&made, &sizes);
            else
                maker_pha(&made, &sizes, kind == 2 ? "dss" : "gated");
            open_as(&m, made.dir, asks[i]);
            write_out(&m, &out);
            open_as(&again, out.dir, ENGINE_WEIGHTS_OWN);
            same_matrices(&m, &again);
            expect_sum(&again);
            size_t quantised = 0;
            for (const struct bound *x = m.bound.first; x; x = x->next)
                quantised += x->m.type >= DTYPE_FLOATS;
            assert_true(quantised == 0 || weights_kept_bytes(&again.weights) > 200000);
            model_close(&again);
            open_as(&again, out.dir, asks[i]);
            same_matrices(&m, &again);
            model_close(&again);
            model_close(&m);
            maker_close(&out);
        }
}

static void a_quantised_file_is_not_asked_for_another_format(void **state)
{
    (void)state;
    struct model m, again;
    struct maker out;
    maker_llama(&made, &sizes);
    open_as(&m, made.dir, ENGINE_WEIGHTS_Q8);
    write_out(&m, &out);
    for (int ask = ENGINE_WEIGHTS_F32; ask <= ENGINE_WEIGHTS_Q4; ask++) {
        struct err err = {0};
        struct model_options o = {.dir = out.dir, .weights = (enum engine_weights)ask};
        int rc = model_open(&again, &o, &err);
        assert_int_equal(rc, ask == ENGINE_WEIGHTS_Q8 ? 0 : -ERR_ARGUMENT);
        if (rc == 0) {
            model_close(&again);
            continue;
        }
        assert_string_equal(err.param, "weights");
        assert_non_null(strstr(err.text, "found q8"));
    }
    model_close(&m);
    maker_close(&out);
}

/* Whichever thread packs a panel. */
static void threads_pack_the_same(void **state)
{
    (void)state;
    struct model alone, m;
    struct model_options o = {.dir = made.dir};
    assert_int_equal(pool_open(&o.pool, 3, NULL), 0);
    maker_transxssm(&made, &sizes);
    for (o.weights = ENGINE_WEIGHTS_Q8; o.weights <= ENGINE_WEIGHTS_Q4; o.weights++) {
        open_as(&alone, made.dir, o.weights);
        assert_int_equal(model_open(&m, &o, NULL), 0);
        same_matrices(&alone, &m);
        model_close(&m);
        model_close(&alone);
    }
    pool_close(o.pool);
}

/* Of a row of the first tensor, which is the embedding. */
static void spoil(int row)
{
    const float nan = NAN;
    uint64_t header = 0;
    FILE *f = fopen(maker_path(&made, "model.safetensors"), "rb+");
    assert_non_null(f);
    assert_int_equal(fread(&header, sizeof header, 1, f), 1); /* little-endian, as here */
    assert_int_equal(
        fseek(f, (long)(8 + header) + (long)row * sizes.hidden * 4, SEEK_SET), 0);
    assert_int_equal(fwrite(&nan, sizeof nan, 1, f), 1);
    fclose(f);
}

static void threads_tell_the_first_fault(void **state)
{
    (void)state;
    struct model m;
    struct model_options o = {.dir = made.dir, .weights = ENGINE_WEIGHTS_Q8};
    struct err err = {0};
    assert_int_equal(pool_open(&o.pool, 3, NULL), 0);
    maker_llama(&made, &sizes);
    spoil(69);
    spoil(37);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(model_open(&m, &o, &err), -ERR_FORMAT);
        assert_non_null(strstr(err.text, "tensor model.embed_tokens"));
        assert_non_null(strstr(err.text, "row 37: expected finite weights"));
    }
    pool_close(o.pool);
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make, unmake)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(each_matrix_becomes_what_its_use_allows),
        WITH_FOLDER(a_tied_head_shares_the_quantised_table),
        WITH_FOLDER(an_untied_head_is_a_table_of_its_own),
        WITH_FOLDER(a_model_that_was_written_out_holds_the_same),
        WITH_FOLDER(a_quantised_file_is_not_asked_for_another_format),
        WITH_FOLDER(threads_pack_the_same),
        WITH_FOLDER(threads_tell_the_first_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
