/* Rendered texts with marks -> ranges, turns and an open mark at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A text whose bytes are told apart by letters: '.' is the template's, 'a' is of message
 * 0, 'b' of message 1, …; capitals are an assistant's, '?' is of no message. */
static struct template_text marked(const char *text, const char *owners, uint16_t *marks)
{
    for (size_t i = 0; owners[i]; i++) {
        char c = owners[i];
        bool assistant = c >= 'A' && c <= 'Z';
        marks[i] = c == '.' ? 0
                   : c == '?'
                       ? CHAT_MARK_OTHER
                       : jinja_mark((size_t)(c - (assistant ? 'A' : 'a')), assistant);
    }
    assert_int_equal(strlen(text), strlen(owners));
    return (struct template_text){text, strlen(text), marks};
}

static struct chat_message messages[3];
static const struct chat chat = {.messages = messages, .n_messages = 3};

static struct chat_prompt made(const char *owners, size_t common, struct arena *arena)
{
    uint16_t marks[64];
    char text[64];
    struct chat_prompt p;
    struct err err;
    memset(text, 'x', sizeof text);
    text[strlen(owners)] = '\0';
    struct template_text t = marked(text, owners, marks);
    arena_init(arena);
    assert_int_equal(chat_prompt_make(arena, &chat, &t, common, &p, &err), 0);
    assert_string_equal(p.text, text);
    return p;
}

static void neighbours_of_one_kind_are_one_range(void **state)
{
    (void)state;
    struct arena arena;
    struct chat_prompt p = made("..??aab.bBBCC.c", 15, &arena);
    static const struct text_mark expected[] = {
        {2, 7, false}, {8, 9, false}, {9, 13, true}, {14, 15, false}};
    assert_int_equal(p.n_marks, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(p.marks[i].begin, expected[i].begin);
        assert_int_equal(p.marks[i].end, expected[i].end);
        assert_int_equal(p.marks[i].added, expected[i].added);
    }
    arena_free(&arena);
}

static void turns_are_where_messages_begin(void **state)
{
    (void)state;
    struct arena arena;
    /* Message 0 stands there twice: its first byte counts. */
    struct chat_prompt p = made("..aa..BB..a.c...", 14, &arena);
    static const size_t expected[] = {2, 6, 12, 14};
    assert_int_equal(p.n_turns, 4);
    assert_memory_equal(p.turns, expected, sizeof expected);
    arena_free(&arena);
    /* The beginning of the text is none, equal ones are one. */
    p = made("aa..BB", 4, &arena);
    assert_int_equal(p.n_turns, 1);
    assert_int_equal(p.turns[0], 4);
    arena_free(&arena);
}

static void marked_messages_are_kept_at_their_end(void **state)
{
    (void)state;
    struct arena arena;
    messages[0].breakpoint = messages[1].breakpoint = true;
    struct chat_prompt p = made("..aa..c...", 8, &arena);
    messages[0].breakpoint = messages[1].breakpoint = false;
    static const size_t expected[] = {2, 4, 6, 8};
    assert_int_equal(p.n_turns, 4);
    assert_memory_equal(p.turns, expected, sizeof expected);
    arena_free(&arena);
}

/* Of 40 messages, one byte each behind one of the template's, every other one marked. */
static void long_conversations_keep_both_ends(void **state)
{
    (void)state;
    enum { N = 40 };
    static struct chat_message many[N];
    const struct chat long_chat = {.messages = many, .n_messages = N};
    char text[2 * N + 1];
    uint16_t marks[2 * N];
    struct arena arena;
    struct chat_prompt p;
    struct err err;
    for (size_t i = 0; i < N; i++) {
        many[i].breakpoint = i % 2;
        marks[2 * i] = 0;
        marks[2 * i + 1] = jinja_mark(i, false);
    }
    memset(text, 'x', sizeof text - 1);
    text[2 * N] = '\0';
    struct template_text t = {text, 2 * N, marks};
    arena_init(&arena);
    assert_int_equal(chat_prompt_make(&arena, &long_chat, &t, 2 * N, &p, &err), 0);
    /* Begins 1, 51, 53 … 79; ends 4, 24, 28 … 80, the last of which is the text's. */
    assert_int_equal(p.n_turns, 16 + 16);
    assert_int_equal(p.turns[0], 1);
    assert_int_equal(p.turns[1], 4);
    assert_int_equal(p.turns[2], 24);
    assert_int_equal(p.turns[p.n_turns - 1], 2 * N);
    arena_free(&arena);
}

static void what_is_of_no_message_is_no_turn(void **state)
{
    (void)state;
    enum { N = JINJA_MARK_OTHER + 5 };
    static struct chat_message many[N];
    const struct chat huge = {.messages = many, .n_messages = N};
    uint16_t marks[] = {0, CHAT_MARK_OTHER, 0, jinja_mark(N - 1, true)};
    struct template_text t = {"abcd", 4, marks};
    struct arena arena;
    struct chat_prompt p;
    struct err err;
    arena_init(&arena);
    assert_int_equal(chat_prompt_make(&arena, &huge, &t, 4, &p, &err), 0);
    assert_true(p.n_turns == 1 && p.turns[0] == 4 && p.n_marks == 2);
    arena_free(&arena);
}

static void a_text_without_marks_has_no_range(void **state)
{
    (void)state;
    struct arena arena;
    struct chat_prompt p;
    struct err err;
    struct template_text t = {"abc", 3, NULL};
    arena_init(&arena);
    assert_int_equal(chat_prompt_make(&arena, &chat, &t, 2, &p, &err), 0);
    assert_true(p.n_marks == 0 && p.n_turns == 1 && p.turns[0] == 2);
    arena_free(&arena);
}

static void an_open_mark_at_the_end_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *text, *owners;
        bool inside;
    } cases[] = {
        {"a<think>", "........", true},
        {"<think>\n \n", "..........", true},
        {"[THINK]", ".......", true},
        {"<think>\n</think>\n", ".................", false},
        {"<think>x", "........", false},
        {"<think>", "AAAAAAA", false},
        {"think>", "......", false},
        {"", "", false},
        {"\n", ".", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t marks[64];
        struct arena arena;
        struct chat_prompt p;
        struct err err;
        struct template_text t = marked(cases[i].text, cases[i].owners, marks);
        arena_init(&arena);
        assert_int_equal(chat_prompt_make(&arena, &chat, &t, 0, &p, &err), 0);
        if (p.in_reasoning != cases[i].inside)
            fail_msg("\"%s\"", cases[i].text);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_of_one_kind_are_one_range),
        cmocka_unit_test(turns_are_where_messages_begin),
        cmocka_unit_test(marked_messages_are_kept_at_their_end),
        cmocka_unit_test(long_conversations_keep_both_ends),
        cmocka_unit_test(what_is_of_no_message_is_no_turn),
        cmocka_unit_test(a_text_without_marks_has_no_range),
        cmocka_unit_test(an_open_mark_at_the_end_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
