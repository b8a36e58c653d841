/* State objects as bytes: a written object reads back equal, and every change is
 * detected: each bit, each length, each property of the engine that wrote it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/state/object.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stddef.h>
#include <string.h>

enum { DEPTH = 21, TOKENS = DEPTH + 1, ENDS = 3, SLOT = 200, PAGE = 128, CAP = 2048 };

static const struct object_kind kind = {.model_hash = 0x1122334455667788u,
                                        .tokenizer_hash = 0x99AABBCCDDEEFF01u,
                                        .slot_bytes = SLOT,
                                        .page_bytes = PAGE,
                                        .weights = 5,
                                        .kv = 1,
                                        .math = 0,
                                        .rope_length = 4096,
                                        .vocab_size = 1000,
                                        .max_tokens = 64};

/* One object, 8-byte aligned. */
struct made {
    union {
        char bytes[CAP];
        uint64_t align;
    } u;
    size_t len;
    int32_t tokens[TOKENS];
    struct object_head head;
};

/* As many ends as there is room for, at the tokens 4, 8 and 12. */
static const struct answer_end all_ends[ENDS] = {
    {4, 4, 0, 0}, {8, 6, 2, 1}, {12, 8, 0, 0}};

static void make(struct made *m, const struct object_kind *k, const char *tenant,
                 int depth, int n_tokens)
{
    struct answer_end ends[ENDS];
    struct history said = {m->tokens, ends, (size_t)n_tokens, 0};
    *m = (struct made){0};
    for (int i = 0; i < n_tokens; i++)
        m->tokens[i] = (i * 37 + 5) % 1000;
    for (; said.n_ends < ENDS && all_ends[said.n_ends].at <= n_tokens; said.n_ends++)
        ends[said.n_ends] = all_ends[said.n_ends];
    object_head(&m->head, k, tenant, depth, n_tokens, (int)said.n_ends);
    m->len = m->head.bytes;
    assert_true(m->len <= CAP);
    char *body = m->u.bytes + m->head.body_at;
    size_t n = m->len - m->head.body_at;
    for (size_t i = 0; i < n; i++)
        body[i] = (char)(i * 7 + i / 5);
    m->head.body_hash = hash_bytes(body, n);
    object_write(m->u.bytes, &m->head, k, &said);
}

/* Checks len bytes in pieces; the error's code, 0 when whole. */
static enum err_code check(const char *bytes, size_t len, size_t piece,
                           const struct object_kind *k, const char *tenant,
                           struct err *err)
{
    struct object_check c;
    *err = (struct err){0};
    int rc = object_check_begin(&c, k, tenant, err);
    for (size_t at = 0, n; rc == 0 && at < len; at += n) {
        n = len - at < piece ? len - at : piece;
        rc = object_check_put(&c, bytes + at, n, err);
    }
    if (rc == 0)
        rc = object_check_end(&c, err);
    object_check_free(&c);
    assert_int_equal(rc, -(int)err->code);
    return err->code;
}

static void a_written_object_reads_back(void **state)
{
    (void)state;
    struct made m;
    struct err err;
    static const struct {
        int depth, n_tokens, n_pages;
    } sizes[] = {{1, 1, 1},   {1, 2, 1},   {15, 16, 1},       {16, 16, 1},
                 {16, 17, 1}, {17, 17, 2}, {DEPTH, TOKENS, 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct object_head h;
        make(&m, &kind, "alice", sizes[i].depth, sizes[i].n_tokens);
        assert_int_equal(object_parse(&h, m.u.bytes, &kind, "alice", &err), 0);
        assert_int_equal(h.depth, sizes[i].depth);
        assert_int_equal(h.n_tokens, sizes[i].n_tokens);
        assert_int_equal(h.n_pages, sizes[i].n_pages);
        assert_int_equal(h.body_at % 64, 0);
        assert_int_equal(h.bytes, h.body_at + SLOT + (size_t)sizes[i].n_pages * PAGE);
        assert_int_equal(h.bytes, m.len);
        assert_string_equal(h.tenant, "alice");
        char copy[CAP];
        memcpy(copy, m.u.bytes, m.len);
        assert_int_equal(object_check_tokens(&h, m.u.bytes, &kind, &err), 0);
        assert_memory_equal(copy, m.u.bytes, m.len);
        struct history said = object_history(&h, m.u.bytes);
        assert_memory_equal(said.ids, m.tokens, (size_t)h.n_tokens * sizeof(int32_t));
        assert_int_equal(said.n_ids, h.n_tokens);
        assert_int_equal(said.n_ends, h.n_tokens >= 12 ? 3 : h.n_tokens / 4);
        assert_memory_equal(said.ends, all_ends, said.n_ends * sizeof *said.ends);
        for (size_t piece = 1; piece < m.len + 9; piece += 1 + piece / 2)
            assert_int_equal(check(m.u.bytes, m.len, piece, &kind, "alice", &err), 0);
    }
}

static void every_flipped_bit_is_detected(void **state)
{
    (void)state;
    struct made m;
    struct err err;
    make(&m, &kind, "alice", DEPTH, TOKENS);
    for (size_t bit = 0; bit < m.len * 8; bit++) {
        m.u.bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(check(m.u.bytes, m.len, 100, &kind, "alice", &err),
                         ERR_CONFLICT);
        m.u.bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(check(m.u.bytes, m.len, 100, &kind, "alice", &err), 0);
}

static void every_wrong_length_is_detected(void **state)
{
    (void)state;
    struct made m;
    struct err err;
    make(&m, &kind, "", DEPTH, TOKENS);
    for (size_t len = 0; len < m.len + 70; len++)
        assert_int_equal(check(m.u.bytes, len, 64, &kind, "", &err),
                         len == m.len ? 0 : ERR_CONFLICT);
}

struct other {
    const char *words;
    size_t at, bytes; /* of the field in struct object_kind */
    uint64_t value;
};

#define FIELD(name)                                                                      \
    offsetof(struct object_kind, name), sizeof((struct object_kind *)0)->name

static void an_object_of_another_engine_is_refused_by_the_difference(void **state)
{
    (void)state;
    static const struct other others[] = {
        {"model: expected 000000000000002a, found 1122334455667788", FIELD(model_hash),
         42},
        {"tokenizer: expected 000000000000002a", FIELD(tokenizer_hash), 42},
        {"constant part: expected 264, found 200", FIELD(slot_bytes), 264},
        {"bytes of a page: expected 256, found 128", FIELD(page_bytes), 256},
        {"bytes of a page: expected 0, found 128", FIELD(page_bytes), 0},
        {"weights' types (bits): expected 1, found 5", FIELD(weights), 1},
        {"K/V type: expected 2, found 1", FIELD(kv), 2},
        {"math mode: expected 1, found 0", FIELD(math), 1},
        {"rotary length: expected 8192, found 4096", FIELD(rope_length), 8192},
        {"tokens: expected 1 to 21, found 22", FIELD(max_tokens), DEPTH},
        {"tokens[21]: expected 0 to 781, found 782", FIELD(vocab_size), 782},
    };
    struct made m;
    struct err err;
    make(&m, &kind, "alice", DEPTH, TOKENS);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct object_kind k = kind;
        memcpy((char *)&k + others[i].at, &others[i].value, others[i].bytes);
        assert_int_equal(check(m.u.bytes, m.len, 512, &k, "alice", &err), ERR_CONFLICT);
        assert_non_null(strstr(err.text, others[i].words));
        bool bounds = others[i].at >= offsetof(struct object_kind, vocab_size);
        assert_int_equal(object_kind_hash(&k) == object_kind_hash(&kind), bounds);
    }
}

static void an_object_of_another_tenant_is_refused_without_its_name(void **state)
{
    (void)state;
    struct made m;
    struct err err;
    make(&m, &kind, "alice", DEPTH, TOKENS);
    static const char *const others[] = {"", "alic", "alice2", "Alice", "bob"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(check(m.u.bytes, m.len, 512, &kind, others[i], &err),
                         ERR_CONFLICT);
        assert_null(strstr(err.text, "alice"));
    }
}

static void set_hash(struct made *m)
{
    enum { HASH_AT = 24 };
    uint64_t hash = 0;
    memcpy(m->u.bytes + HASH_AT, &hash, 8);
    hash = hash_bytes(m->u.bytes, m->head.body_at);
    memcpy(m->u.bytes + HASH_AT, &hash, 8);
}

/* A head that lies, with a checksum that is right. */
static void impossible_counts_are_refused(void **state)
{
    (void)state;
    enum { DEPTH_AT = 92, TOKENS_AT = 96 };
    static const uint32_t lies[][2] = {
        {0, 0},   {0, 1},          {2, 1},
        {20, 22}, {UINT32_MAX, 0}, {UINT32_MAX - 1, UINT32_MAX},
        {65, 65}, {21, 23},        {22, 22}};
    struct made m;
    struct err err;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        make(&m, &kind, "", DEPTH, TOKENS);
        memcpy(m.u.bytes + DEPTH_AT, &lies[i][0], 4);
        memcpy(m.u.bytes + TOKENS_AT, &lies[i][1], 4);
        set_hash(&m);
        enum err_code code = check(m.u.bytes, m.len, 512, &kind, "", &err);
        /* 22 of 22 is another object of the same size: nothing is wrong with it. */
        assert_int_equal(code, lies[i][0] == 22 ? 0 : ERR_CONFLICT);
    }
}

enum { LAYOUT_AT = 8, ENDS_AT = 104 };

static void a_newer_layout_is_refused_with_both_numbers(void **state)
{
    (void)state;
    struct made m;
    struct err err;
    make(&m, &kind, "", DEPTH, TOKENS);
    for (uint32_t layout = 0; layout < 5; layout += layout ? 2 : 3) {
        memcpy(m.u.bytes + LAYOUT_AT, &layout, 4);
        set_hash(&m);
        assert_int_equal(check(m.u.bytes, m.len, 512, &kind, "", &err), ERR_CONFLICT);
        assert_non_null(strstr(err.text, "layout: expected 1 to 2, found "));
        assert_int_equal(err.text[strlen(err.text) - 1], '0' + (int)layout);
    }
}

/* Layout 1 had zeros where the number of ends is now, and none of them. */
static void layout_1_is_read(void **state)
{
    (void)state;
    struct made m;
    struct err err;
    struct object_head h;
    uint32_t one = 1;
    make(&m, &kind, "", 2, 3); /* too short for an end */
    memcpy(m.u.bytes + LAYOUT_AT, &one, 4);
    set_hash(&m);
    assert_int_equal(check(m.u.bytes, m.len, 512, &kind, "", &err), 0);
    assert_int_equal(object_parse(&h, m.u.bytes, &kind, "", &err), 0);
    assert_int_equal(h.layout, 1);
    assert_int_equal(h.n_ends, 0);
    make(&m, &kind, "", DEPTH, TOKENS);
    memcpy(m.u.bytes + LAYOUT_AT, &one, 4);
    set_hash(&m);
    assert_int_equal(check(m.u.bytes, m.len, 512, &kind, "", &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "ends: expected 0 to 0, found 3"));
}

static void ends_are_those_of_the_tokens(void **state)
{
    (void)state;
    static const struct answer_end lies[] = {
        {8, 8, 1, 0},        {9, 9, 1, 0},   {8, 3, 0, 0},   {4, 4, 0, 0},
        {3, 3, 0, 0},        {0, 0, 0, 0},   {8, 9, 0, 0},   {8, 7, -1, 0},
        {8, 7, 0, -1},       {-8, -8, 0, 0}, {12, 12, 0, 0}, {INT32_MAX, 8, 0, 0},
        {8, INT32_MIN, 0, 0}};
    struct made m;
    struct err err;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        make(&m, &kind, "", DEPTH, TOKENS);
        struct history said = object_history(&m.head, m.u.bytes);
        said.ends[1] = lies[i];
        set_hash(&m);
        assert_int_equal(check(m.u.bytes, m.len, 512, &kind, "", &err), ERR_CONFLICT);
        assert_non_null(strstr(err.text, "state object: ends["));
    }
    uint32_t many = TOKENS + 1;
    make(&m, &kind, "", DEPTH, TOKENS);
    memcpy(m.u.bytes + ENDS_AT, &many, 4);
    set_hash(&m);
    assert_int_equal(check(m.u.bytes, m.len, 512, &kind, "", &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "ends: expected 0 to 22, found 23"));
}

static void out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    struct made m;
    struct err err;
    make(&m, &kind, "", DEPTH, TOKENS);
    enum err_code code = ERR_MEMORY;
    for (long n = 1; code; n++) {
        mem_fail_after(n);
        code = check(m.u.bytes, m.len, 31, &kind, "", &err);
        mem_fail_after(0);
        assert_true(code == 0 || code == ERR_MEMORY);
        assert_true(n > 2 || code == ERR_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_object_reads_back),
        cmocka_unit_test(every_flipped_bit_is_detected),
        cmocka_unit_test(every_wrong_length_is_detected),
        cmocka_unit_test(an_object_of_another_engine_is_refused_by_the_difference),
        cmocka_unit_test(an_object_of_another_tenant_is_refused_without_its_name),
        cmocka_unit_test(impossible_counts_are_refused),
        cmocka_unit_test(a_newer_layout_is_refused_with_both_numbers),
        cmocka_unit_test(layout_1_is_read),
        cmocka_unit_test(ends_are_those_of_the_tokens),
        cmocka_unit_test(out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
