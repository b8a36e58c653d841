/*
 * Walks a text character by character and writes each in the case that its place asks
 * for. Runs on the render's thread.
 *
 * The subtle point is the capital sigma, which becomes another letter at the end of a
 * word: its neighbours decide, over characters that count for nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_case.h"

#include "api/template/jinja_char.h"
#include "api/template/jinja_space.h"
#include "engine/base/utf8.h"

#include <string.h>

enum { CAPITAL_SIGMA = 0x3A3, SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2 };

enum letter_case { UPPER, LOWER, TITLE };

/* The case of the character at byte i. */
typedef enum letter_case place_fn(const struct jinja_string *s, size_t i);

static size_t decode(const struct jinja_string *s, size_t i, uint32_t *c)
{
    return (size_t)utf8_decode(s->text + i, s->len - i, c);
}

static size_t step_back(const struct jinja_string *s, size_t i)
{
    do
        i--;
    while (i > 0 && ((unsigned char)s->text[i] & 0xC0) == 0x80);
    return i;
}

static bool cased_before(const struct jinja_string *s, size_t i)
{
    while (i > 0) {
        uint32_t c;
        i = step_back(s, i);
        decode(s, i, &c);
        if (!jinja_char_ignorable(c))
            return jinja_char_cased(c);
    }
    return false;
}

static bool cased_after(const struct jinja_string *s, size_t i)
{
    while (i < s->len) {
        uint32_t c;
        i += decode(s, i, &c);
        if (!jinja_char_ignorable(c))
            return jinja_char_cased(c);
    }
    return false;
}

static size_t lower_at(const struct jinja_string *s, size_t i, uint32_t c,
                       uint32_t out[JINJA_CHAR_MOST])
{
    if (c != CAPITAL_SIGMA)
        return jinja_char_lower(c, out);
    bool final = cased_before(s, i) && !cased_after(s, i + 2);
    out[0] = final ? FINAL_SIGMA : SIGMA;
    return 1;
}

static void put_at(struct jinja_builder *b, const struct jinja_string *s, size_t i,
                   uint32_t c, enum letter_case wanted)
{
    char text[4 * JINJA_CHAR_MOST];
    uint32_t out[JINJA_CHAR_MOST];
    size_t len = 0, n = wanted == UPPER   ? jinja_char_upper(c, out)
                        : wanted == LOWER ? lower_at(s, i, c, out)
                                          : jinja_char_title(c, out);
    for (size_t k = 0; k < n; k++)
        len += (size_t)utf8_encode(out[k], text + len);
    jinja_string_put(b, text, len, jinja_string_mark(s, i));
}

static void put_all(struct jinja_builder *b, const struct jinja_string *s,
                    place_fn *place)
{
    for (size_t i = 0, n; i < s->len && !b->render->failed; i += n) {
        uint32_t c;
        n = decode(s, i, &c);
        put_at(b, s, i, c, place(s, i));
    }
}

/* The text that was built from s. */
static struct jinja_value end(struct jinja_builder *b, const struct jinja_string *s)
{
    struct jinja_value v = jinja_string_end(b);
    if (!s->safe || b->render->failed)
        return v;
    struct jinja_string safe = *v.string;
    safe.safe = true;
    return jinja_string_cut(b->render, &safe, 0, safe.len);
}

static struct jinja_value convert(struct jinja_render *r, const struct jinja_string *s,
                                  place_fn *place)
{
    struct jinja_builder b;
    jinja_string_begin(&b, r);
    if (!jinja_render_work(r, s->len))
        return (struct jinja_value){0};
    put_all(&b, s, place);
    return end(&b, s);
}

static enum letter_case always_upper(const struct jinja_string *s, size_t i)
{
    (void)s;
    (void)i;
    return UPPER;
}

static enum letter_case always_lower(const struct jinja_string *s, size_t i)
{
    (void)s;
    (void)i;
    return LOWER;
}

static enum letter_case first_title(const struct jinja_string *s, size_t i)
{
    (void)s;
    return i == 0 ? TITLE : LOWER;
}

static enum letter_case run_title(const struct jinja_string *s, size_t i)
{
    uint32_t before;
    if (i == 0)
        return TITLE;
    decode(s, step_back(s, i), &before);
    return jinja_char_cased(before) ? LOWER : TITLE;
}

struct jinja_value jinja_case_upper(struct jinja_render *r, const struct jinja_string *s)
{
    return convert(r, s, always_upper);
}

struct jinja_value jinja_case_lower(struct jinja_render *r, const struct jinja_string *s)
{
    return convert(r, s, always_lower);
}

struct jinja_value jinja_case_capitalize(struct jinja_render *r,
                                         const struct jinja_string *s)
{
    return convert(r, s, first_title);
}

struct jinja_value jinja_case_title(struct jinja_render *r, const struct jinja_string *s)
{
    return convert(r, s, run_title);
}

static bool is_between(const struct jinja_string *s, size_t i)
{
    return memchr("-({[<", s->text[i], 5) ||
           jinja_space_first(s->text + i, s->len - i) > 0;
}

static struct jinja_string part(const struct jinja_string *s, size_t from, size_t end)
{
    struct jinja_string cut = *s;
    cut.text += from;
    cut.len = end - from;
    cut.marks = s->marks ? s->marks + from : NULL;
    return cut;
}

/* The rest of a word is a text by itself: what is before it decides on no sigma. */
struct jinja_value jinja_case_words(struct jinja_render *r, const struct jinja_string *s)
{
    struct jinja_builder b;
    jinja_string_begin(&b, r);
    if (!jinja_render_work(r, s->len))
        return (struct jinja_value){0};
    for (size_t i = 0, next; i < s->len && !r->failed; i = next) {
        uint32_t c;
        bool between = is_between(s, i);
        size_t rest = i + decode(s, i, &c);
        for (next = rest; next < s->len && is_between(s, next) == between;)
            next += decode(s, next, &c);
        struct jinja_string first = part(s, i, rest), others = part(s, rest, next);
        put_all(&b, &first, always_upper);
        put_all(&b, &others, always_lower);
    }
    return end(&b, s);
}
