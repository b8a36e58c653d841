/* Case of texts; what is expected was printed by Python 3.11 and jinja2 3.1.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/template/jinja_case.h"
#include "tests/lib/template_values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int open_values(void **state)
{
    static struct template_values values;
    template_values_open(&values);
    *state = &values;
    return 0;
}

static int close_values(void **state)
{
    template_values_close(*state);
    return 0;
}

typedef struct jinja_value case_fn(struct jinja_render *r, const struct jinja_string *s);

static const char *changed(struct template_values *t, case_fn *change, const char *text)
{
    struct jinja_value v = template_values_text(t, text);
    return template_values_shown(t, change(&t->render, v.string));
}

static void texts_change_as_pythons_do(void **state)
{
    static const struct {
        const char *text, *upper, *lower, *capitalize, *title;
    } rows[] = {
        {"Hello wORLD", "HELLO WORLD", "hello world", "Hello world", "Hello World"},
        {"", "", "", "", ""},
        {"it's o'clock", "IT'S O'CLOCK", "it's o'clock", "It's o'clock", "It'S O'Clock"},
        {"straße ǆ ﬁn ŉx", "STRASSE Ǆ FIN ʼNX", "straße ǆ ﬁn ŉx", "Straße ǆ ﬁn ŉx",
         "Straße ǅ Fin ʼNx"},
        {"ΑΣ ΑΣΑ Σ ΟΔΟΣ.", "ΑΣ ΑΣΑ Σ ΟΔΟΣ.", "ας ασα σ οδος.", "Ας ασα σ οδος.",
         "Ας Ασα Σ Οδος."},
        {"'ΑΣ'", "'ΑΣ'", "'ας'", "'ας'", "'Ας'"},
        {"Α'Σ'Α", "Α'Σ'Α", "α'σ'α", "Α'σ'α", "Α'Σ'Α"},
        {"İstanbul", "İSTANBUL", "i̇stanbul", "İstanbul", "İstanbul"},
        {"ᾳ ᾼ ᾀ ὒ ΐ և", "ΑΙ ΑΙ ἈΙ Υ̓̀ Ϊ́ ԵՒ", "ᾳ ᾳ ᾀ ὒ ΐ և", "ᾼ ᾳ ᾀ ὒ ΐ և", "ᾼ ᾼ ᾈ Υ̓̀ Ϊ́ Եւ"},
        {"日本語 abc", "日本語 ABC", "日本語 abc", "日本語 abc", "日本語 Abc"},
        {"ａｂｃ Ⅷ ⓐ", "ＡＢＣ Ⅷ Ⓐ", "ａｂｃ ⅷ ⓐ", "Ａｂｃ ⅷ ⓐ", "Ａｂｃ Ⅷ Ⓐ"},
        {"x­Σ", "X­Σ", "x­ς", "X­ς", "X­Σ"},
        {"ꜳ Ꙁ აბგ", "Ꜳ Ꙁ ᲐᲑᲒ", "ꜳ ꙁ აბგ", "Ꜳ ꙁ აბგ", "Ꜳ Ꙁ აბგ"},
        {"tab\tnew\nline nb em", "TAB\tNEW\nLINE NB EM", "tab\tnew\nline nb em",
         "Tab\tnew\nline nb em", "Tab\tNew\nLine Nb Em"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = rows[i].text;
        assert_string_equal(changed(*state, jinja_case_upper, text), rows[i].upper);
        assert_string_equal(changed(*state, jinja_case_lower, text), rows[i].lower);
        assert_string_equal(changed(*state, jinja_case_capitalize, text),
                            rows[i].capitalize);
        assert_string_equal(changed(*state, jinja_case_title, text), rows[i].title);
    }
}

static void the_filter_title_cuts_at_its_own_places(void **state)
{
    static const char *const rows[][2] = {
        {"Hello wORLD", "Hello World"},
        {"", ""},
        {"it's o'clock", "It's O'clock"},
        {"straße ǆ ﬁn ŉx", "Straße Ǆ FIn ʼNx"},
        {"ΑΣ ΑΣΑ Σ ΟΔΟΣ.", "Ασ Ασα Σ Οδος."},
        {"'ΑΣ'", "'ας'"},
        {"Α'Σ'Α", "Α'σ'α"},
        {"İstanbul", "İstanbul"},
        {"ᾳ ᾼ ᾀ ὒ ΐ և", "ΑΙ ΑΙ ἈΙ Υ̓̀ Ϊ́ ԵՒ"},
        {"日本語 abc", "日本語 Abc"},
        {"foo-bar (baz) [q] {w} v a_b 1a", "Foo-Bar (Baz) [Q] {W} V A_b 1a"},
        {"ａｂｃ Ⅷ ⓐ", "Ａｂｃ Ⅷ Ⓐ"},
        {"x­Σ", "X­σ"},
        {"ꜳ Ꙁ აბგ", "Ꜳ Ꙁ Აბგ"},
        {"tab\tnew\nline nb em", "Tab\tNew\nLine Nb Em"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(changed(*state, jinja_case_words, rows[i][0]), rows[i][1]);
}

static void marks_follow_their_characters(void **state)
{
    assert_string_equal(changed(*state, jinja_case_upper, "a<1|ßb>c<2|ﬁ>"),
                        "A<1|SSB>C<2|FI>");
    assert_string_equal(changed(*state, jinja_case_lower, "<1|İ>X"), "<1|i̇>x");
}

static void a_safe_text_stays_safe(void **state)
{
    struct template_values *t = *state;
    struct jinja_string s = *template_values_text(t, "ab").string;
    s.safe = true;
    assert_true(jinja_case_upper(&t->render, &s).string->safe);
    s.safe = false;
    assert_false(jinja_case_upper(&t->render, &s).string->safe);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_values, close_values)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_change_as_pythons_do),
        TEST(the_filter_title_cuts_at_its_own_places),
        TEST(marks_follow_their_characters),
        TEST(a_safe_text_stays_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
