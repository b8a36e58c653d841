/*
 * Normal forms in three steps: decompose, order the marks, compose. utf8proc_map is not
 * used because it orders marks by insertion sort, which takes hours on 1 MB of combining
 * marks; here a long run is ordered by counting sort. Runs on any thread.
 *
 * The subtle point: content and what is not content are brought into a normal form apart,
 * so that content cannot change the last character of a template's token.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/normal.h"

#include "engine/base/mem.h"
#include "engine/base/utf8.h"

#include <string.h>
#include <utf8proc.h>

enum { SHORT_RUN = 24, LONGEST_DECOMPOSITION = 32 };

struct points { /* code points of a segment */
    int32_t *c; /* owns */
    size_t n, cap;
};

static bool points_reserve(struct points *p, size_t more)
{
    if (p->n + more <= p->cap)
        return true;
    size_t cap = p->cap * 2 > p->n + more ? p->cap * 2 : p->n + more;
    int32_t *c = mem_grow(p->c, p->n * sizeof *c, cap * sizeof *c);
    if (!c)
        return false;
    p->c = c;
    p->cap = cap;
    return true;
}

static bool decompose(struct points *p, const char *s, size_t len, int options)
{
    size_t at = 0;
    while (at < len) {
        uint32_t c;
        at += (size_t)utf8_decode(s + at, len - at, &c);
        if (!points_reserve(p, LONGEST_DECOMPOSITION))
            return false;
        int bound = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, p->c + p->n,
                                                     LONGEST_DECOMPOSITION,
                                                     (utf8proc_option_t)options, &bound);
        if (n < 0 || n > LONGEST_DECOMPOSITION)
            return false;
        p->n += (size_t)n;
    }
    return true;
}

static int mark_class(int32_t c)
{
    return c < 0x300 ? 0 : utf8proc_get_property(c)->combining_class;
}

static void order_short(int32_t *c, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        int32_t moved = c[i];
        size_t j = i;
        for (; j > 0 && mark_class(c[j - 1]) > mark_class(moved); j--)
            c[j] = c[j - 1];
        c[j] = moved;
    }
}

static bool order_long(int32_t *c, size_t n)
{
    size_t start[257] = {0};
    int32_t *sorted = mem_alloc(n * sizeof *sorted);
    if (!sorted)
        return false;
    for (size_t i = 0; i < n; i++)
        start[(mark_class(c[i]) & 0xFF) + 1]++;
    for (size_t k = 1; k < 257; k++)
        start[k] += start[k - 1];
    for (size_t i = 0; i < n; i++)
        sorted[start[mark_class(c[i]) & 0xFF]++] = c[i];
    memcpy(c, sorted, n * sizeof *c);
    mem_free(sorted);
    return true;
}

/* Unicode 3.11, D109: sorts each run of marks by combining class, stably. */
static bool order(struct points *p)
{
    for (size_t i = 0; i < p->n;) {
        size_t end = i;
        while (end < p->n && mark_class(p->c[end]) != 0)
            end++;
        if (end - i > SHORT_RUN && !order_long(p->c + i, end - i))
            return false;
        if (end - i <= SHORT_RUN)
            order_short(p->c + i, end - i);
        i = end + 1;
    }
    return true;
}

/* ---- texts and their marks --------------------------------------------------- */

int normal_set(struct normal_text *t, const char *s, size_t len, const char *marks,
               struct err *err)
{
    buf_reset(&t->text);
    buf_reset(&t->marks);
    buf_put(&t->text, s, len);
    if (marks)
        buf_put(&t->marks, marks, len);
    return t->text.failed || t->marks.failed
               ? err_set(err, ERR_MEMORY, "out of memory while normalising")
               : 0;
}

void normal_free(struct normal_text *t)
{
    buf_free(&t->text);
    buf_free(&t->marks);
    buf_free(&t->spare);
    buf_free(&t->spare_marks);
}

static bool has_marks(const struct normal_text *t)
{
    return t->marks.len > 0;
}

/* The largest mark of text[begin..end), or where that is empty of the bytes around it. */
static enum mark mark_of(const struct normal_text *t, size_t begin, size_t end)
{
    if (!has_marks(t))
        return MARK_NONE;
    if (begin == end) {
        begin -= begin > 0;
        end += end < t->marks.len;
    }
    return marks_largest(t->marks.data, begin, end);
}

/* Appends to what the step makes. */
static void put(struct normal_text *t, const char *s, size_t len, enum mark mark)
{
    buf_put(&t->spare, s, len);
    if (has_marks(t))
        marks_put(&t->spare_marks, mark, len);
}

/* Appends text[begin..end) as it is. */
static void put_same(struct normal_text *t, size_t begin, size_t end)
{
    buf_put(&t->spare, t->text.data + begin, end - begin);
    if (has_marks(t))
        buf_put(&t->spare_marks, t->marks.data + begin, end - begin);
}

static void swap(struct buf *a, struct buf *b)
{
    struct buf t = *a;
    *a = *b;
    *b = t;
}

static void take_spare(struct normal_text *t)
{
    swap(&t->text, &t->spare);
    swap(&t->marks, &t->spare_marks);
}

/* ---- steps ------------------------------------------------------------------- */

static bool is_ascii(const struct buf *text)
{
    for (size_t i = 0; i < text->len; i++)
        if ((unsigned char)text->data[i] >= 0x80)
            return false;
    return true;
}

/* The bytes from `at` on that have one mark. */
static size_t same_mark(const struct normal_text *t, size_t at)
{
    size_t end = has_marks(t) ? at + 1 : t->text.len;
    while (end < t->text.len && t->marks.data[end] == t->marks.data[at])
        end++;
    return end;
}

static bool form_part(struct normal_text *t, struct points *p, size_t begin, size_t end,
                      int options)
{
    enum mark mark = mark_of(t, begin, end);
    p->n = 0;
    if (!decompose(p, t->text.data + begin, end - begin, options) || !order(p))
        return false;
    utf8proc_ssize_t n = (utf8proc_ssize_t)p->n;
    if (options & UTF8PROC_COMPOSE)
        n = utf8proc_normalize_utf32(p->c, n, (utf8proc_option_t)options);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char c[4];
        put(t, c, (size_t)utf8_encode((uint32_t)p->c[i], c), mark);
    }
    return n >= 0;
}

static bool form(struct normal_text *t, enum normal_kind kind)
{
    static const int options[] = {
        [NORMAL_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [NORMAL_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [NORMAL_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [NORMAL_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    if (is_ascii(&t->text))
        return true;
    struct points p = {0};
    bool ok = true;
    for (size_t at = 0, end; ok && at < t->text.len; at = end) {
        end = same_mark(t, at);
        ok = form_part(t, &p, at, end, options[kind]);
    }
    mem_free(p.c);
    take_spare(t);
    return ok;
}

static int replace(const struct normal_step *st, struct normal_text *t, struct err *err)
{
    struct regex_scan scan = {.s = t->text.data, .len = t->text.len};
    size_t from = 0;
    int rc = regex_scan_init(&scan) ? 1 : err_set(err, ERR_MEMORY, "out of memory");
    while (rc > 0 && (rc = regex_find(st->pattern, &scan, from, err)) > 0) {
        put_same(t, from, scan.begin);
        put(t, st->text, st->text_len, mark_of(t, scan.begin, scan.end));
        from = scan.end;
    }
    regex_scan_free(&scan);
    if (rc != 0)
        return rc;
    put_same(t, from, t->text.len);
    take_spare(t);
    return 0;
}

static void lower(struct normal_text *t)
{
    size_t at = 0;
    while (at < t->text.len) {
        uint32_t c;
        char out[4];
        enum mark mark = mark_of(t, at, at + 1);
        at += (size_t)utf8_decode(t->text.data + at, t->text.len - at, &c);
        if (c == 0x130) /* the only character whose lower case is two */
            put(t, "i\xCC\x87", 3, mark);
        else
            put(t, out, (size_t)utf8_encode((uint32_t)utf8proc_tolower((int32_t)c), out),
                mark);
    }
    take_spare(t);
}

static void strip(const struct normal_step *st, struct normal_text *t)
{
    size_t end = 0, begin = 0, at = 0;
    bool seen = false;
    while (at < t->text.len) {
        uint32_t c;
        size_t n = (size_t)utf8_decode(t->text.data + at, t->text.len - at, &c);
        if (!normal_is_space(c)) {
            begin = seen ? begin : at;
            end = at + n;
            seen = true;
        }
        at += n;
    }
    if (!st->right)
        end = t->text.len;
    if (!seen)
        begin = end;
    put_same(t, st->left ? begin : 0, end);
    take_spare(t);
}

static int step(const struct normal_step *st, struct normal_text *t, struct err *err)
{
    switch (st->kind) {
    case NORMAL_PREPEND:
        put(t, st->text, st->text_len, MARK_NONE);
        put_same(t, 0, t->text.len);
        take_spare(t);
        return 0;
    case NORMAL_REPLACE:
        return replace(st, t, err);
    case NORMAL_STRIP:
        strip(st, t);
        return 0;
    case NORMAL_LOWER:
        lower(t);
        return 0;
    default:
        if (!form(t, st->kind))
            return err_set(err, ERR_MEMORY, "out of memory while normalising");
        return 0;
    }
}

int normal_run(const struct pipeline *p, struct normal_text *t, struct err *err)
{
    for (size_t i = 0; i < p->n_normal && t->text.len > 0; i++) {
        buf_reset(&t->spare);
        buf_reset(&t->spare_marks);
        int rc = step(&p->normal[i], t, err);
        if (rc != 0)
            return rc;
        if (t->text.failed || t->marks.failed)
            return err_set(err, ERR_MEMORY, "out of memory while normalising");
    }
    return 0;
}

/* Bytes of the character at `at`, whose code point is *c; a byte alone is U+FFFD. */
static size_t char_at(const char *text, size_t len, size_t at, uint32_t *c)
{
    int n = utf8_decode(text + at, len - at, c);
    if (n > 0)
        return (size_t)n;
    *c = 0xFFFD;
    return 1;
}

static size_t char_begin(const char *text, size_t at)
{
    size_t begin = at;
    while (begin > 0 && at - begin < 3 && ((unsigned char)text[begin] & 0xC0) == 0x80)
        begin--;
    return begin;
}

void normal_cluster(const char *text, size_t len, size_t at, size_t *begin, size_t *end)
{
    uint32_t c, next;
    *begin = char_begin(text, at);
    if (char_at(text, len, *begin, &c) <= at - *begin)
        *begin = at;
    *end = *begin + char_at(text, len, *begin, &c);
    for (uint32_t first = c; *begin > 0; first = next) {
        size_t before = char_begin(text, *begin - 1);
        if (before + char_at(text, len, before, &next) != *begin ||
            utf8proc_grapheme_break((int32_t)next, (int32_t)first))
            break;
        *begin = before;
    }
    while (*end < len) {
        size_t n = char_at(text, len, *end, &next);
        if (utf8proc_grapheme_break((int32_t)c, (int32_t)next))
            break;
        *end += n;
        c = next;
    }
}

bool normal_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

bool normal_is_word(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ND) ||
           k == UTF8PROC_CATEGORY_PC || k == UTF8PROC_CATEGORY_NL;
}
