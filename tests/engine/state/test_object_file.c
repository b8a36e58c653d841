/* State objects in files: written from one place of the pools and read into another, and
 * every fault of a file or disk.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/mem.h"
#include "engine/state/object_file.h"

#include "tests/lib/temp_file.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH = 77, TOKENS = DEPTH + 1, PAGES = 5, SLOT = 704, PAGE = 320, POOL = 12 };

static const struct object_kind kind = {.model_hash = 1,
                                        .slot_bytes = SLOT,
                                        .page_bytes = PAGE,
                                        .vocab_size = 1000,
                                        .max_tokens = 100};

/* A slot, a pool and the places in it that belong to the sequence. */
struct place {
    char slot[SLOT], pool[POOL * PAGE];
    int32_t table[PAGES];
};

static struct object_file_state state_of(struct place *p)
{
    return (struct object_file_state){p->slot, p->pool, p->table};
}

static void fill(struct place *p, const int32_t table[PAGES])
{
    memset(p, 0x5A, sizeof *p);
    memcpy(p->table, table, sizeof p->table);
    for (int i = 0; i < SLOT; i++)
        p->slot[i] = (char)(i * 3);
    for (int page = 0; page < PAGES; page++)
        for (int i = 0; i < PAGE; i++)
            p->pool[table[page] * PAGE + i] = (char)(page * 31 + i);
}

static const int32_t from_table[PAGES] = {3, 4, 9, 8, 0};
static const int32_t to_table[PAGES] = {11, 2, 3, 4, 7};

static const struct answer_end end = {TOKENS, TOKENS - 2, 1, 3};

static int save(int fd, struct err *err)
{
    struct place from;
    struct object_head h;
    int32_t tokens[TOKENS];
    struct answer_end ends[] = {end};
    struct history said = {tokens, ends, TOKENS, 1};
    for (int i = 0; i < TOKENS; i++)
        tokens[i] = 999 - i;
    fill(&from, from_table);
    object_head(&h, &kind, "t", DEPTH, TOKENS, 1);
    struct object_file_state s = state_of(&from);
    return object_file_save(fd, &h, &said, &kind, &s, err);
}

/* Opens and loads; 0 and the content checked, or the error's code. */
static enum err_code load(int fd, struct err *err)
{
    struct place to, expected;
    struct object_head h;
    struct history said = {0};
    *err = (struct err){0};
    int rc = object_file_open(&h, &said, fd, &kind, "t", err);
    memset(&to, 0x5A, sizeof to);
    memcpy(to.table, to_table, sizeof to.table);
    struct object_file_state s = state_of(&to);
    if (rc == 0) {
        assert_int_equal(h.depth, DEPTH);
        assert_int_equal(said.n_ids, TOKENS);
        for (int i = 0; i < TOKENS; i++)
            assert_int_equal(said.ids[i], 999 - i);
        assert_int_equal(said.n_ends, 1);
        assert_memory_equal(said.ends, &end, sizeof end);
        rc = object_file_load(fd, &h, &kind, &s, err);
    }
    history_free(&said);
    fill(&expected, to_table);
    if (rc == 0)
        assert_memory_equal(&to, &expected, sizeof to);
    assert_int_equal(rc, -(int)err->code);
    return err->code;
}

static void a_state_is_written_and_read_into_another_place(void **state)
{
    (void)state;
    struct err err;
    int fd = temp_file();
    assert_int_equal(save(fd, &err), 0);
    assert_int_equal(load(fd, &err), 0);
    struct object_head h;
    object_head(&h, &kind, "t", DEPTH, TOKENS, 1);
    assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)h.bytes);
    assert_int_equal(load(fd, &err), 0); /* wherever the descriptor stands */
    close(fd);
}

static void a_state_without_pages_is_its_slot(void **state)
{
    (void)state;
    struct object_kind bare = kind;
    struct object_head h;
    struct err err;
    char slot[SLOT], back[SLOT];
    int32_t token = 7;
    struct history one = {.ids = &token, .n_ids = 1}, said;
    bare.page_bytes = 0;
    memset(slot, 0x11, sizeof slot);
    int fd = temp_file();
    object_head(&h, &bare, "", 1, 1, 0);
    struct object_file_state from = {slot, NULL, NULL}, to = {back, NULL, NULL};
    assert_int_equal(object_file_save(fd, &h, &one, &bare, &from, &err), 0);
    assert_int_equal(object_file_open(&h, &said, fd, &bare, "", &err), 0);
    assert_int_equal(object_file_load(fd, &h, &bare, &to, &err), 0);
    assert_memory_equal(slot, back, SLOT);
    history_free(&said);
    close(fd);
}

static void every_flipped_bit_of_a_file_is_detected(void **state)
{
    (void)state;
    struct err err;
    int fd = temp_file();
    assert_int_equal(save(fd, &err), 0);
    off_t len = lseek(fd, 0, SEEK_END);
    for (off_t at = 0; at < len; at++) {
        char byte, other;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        for (int bit = 0; bit < 8; bit++) {
            other = (char)(byte ^ 1 << bit);
            assert_int_equal(pwrite(fd, &other, 1, at), 1);
            assert_int_equal(load(fd, &err), ERR_CONFLICT);
        }
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    assert_int_equal(load(fd, &err), 0);
    close(fd);
}

static void every_wrong_length_is_detected(void **state)
{
    (void)state;
    struct err err;
    int fd = temp_file();
    assert_int_equal(save(fd, &err), 0);
    off_t len = lseek(fd, 0, SEEK_END);
    assert_int_equal(ftruncate(fd, len + 1), 0);
    assert_int_equal(load(fd, &err), ERR_CONFLICT);
    for (off_t n = len - 1; n >= 0; n -= 1 + n / 50) {
        assert_int_equal(ftruncate(fd, n), 0);
        assert_int_equal(load(fd, &err), ERR_CONFLICT);
    }
    close(fd);
}

/* A file that shrinks between its head and its body. */
static void a_truncated_body_is_detected(void **state)
{
    (void)state;
    struct err err;
    struct place to;
    struct object_head h;
    struct history said;
    int fd = temp_file();
    assert_int_equal(save(fd, &err), 0);
    assert_int_equal(object_file_open(&h, &said, fd, &kind, "t", &err), 0);
    assert_int_equal(ftruncate(fd, (off_t)h.bytes - 1), 0);
    memcpy(to.table, to_table, sizeof to.table);
    struct object_file_state s = state_of(&to);
    assert_int_equal(object_file_load(fd, &h, &kind, &s, &err), -ERR_CONFLICT);
    history_free(&said);
    close(fd);
}

static void a_disk_fault_has_its_code(void **state)
{
    (void)state;
    struct err err;
    int fd = open("/dev/full", O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(save(fd, &err), -ERR_STORAGE);
    close(fd);
    fd = temp_file();
    assert_int_equal(save(fd, &err), 0);
    int none = fd;
    close(fd);
    assert_int_equal(save(none, &err), -ERR_IO);
    assert_int_equal(load(none, &err), ERR_IO);
}

static void out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    struct err err;
    int fd = temp_file();
    for (long n = 1; n < 3; n++) { /* the checksum's, the head's */
        mem_fail_after(n);
        assert_int_equal(save(fd, &err), -ERR_MEMORY);
        mem_fail_after(0);
    }
    assert_int_equal(save(fd, &err), 0);
    for (long n = 1; n < 3; n++) {
        mem_fail_after(n);
        assert_int_equal(load(fd, &err), ERR_MEMORY);
        mem_fail_after(0);
    }
    assert_int_equal(load(fd, &err), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_written_and_read_into_another_place),
        cmocka_unit_test(a_state_without_pages_is_its_slot),
        cmocka_unit_test(every_flipped_bit_of_a_file_is_detected),
        cmocka_unit_test(every_wrong_length_is_detected),
        cmocka_unit_test(a_truncated_body_is_detected),
        cmocka_unit_test(a_disk_fault_has_its_code),
        cmocka_unit_test(out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
