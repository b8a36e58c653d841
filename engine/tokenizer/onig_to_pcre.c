/*
 * One pass over a pattern, construct by construct. Constructs with one meaning in both
 * dialects are copied. \s, \d and scripts are spelled out, because PCRE2's \s includes
 * U+180E and its \p{Han} means script extensions. Everything else (anchors, \w, \b, \h,
 * back references, nested classes, &&, inline options but i, possessive or lazy
 * intervals) is refused. Runs while a model is opened.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/tokenizer/onig_to_pcre.h"

#include <string.h>

/* Unicode's White_Space and its complement, as ranges of a class. */
#define SPACE                                                                            \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"   \
    "\\x{202f}\\x{205f}\\x{3000}"
#define NOT_SPACE                                                                        \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}"         \
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}"       \
    "\\x{2060}-\\x{2fff}\\x{3001}-\\x{d7ff}\\x{e000}-\\x{10ffff}"

struct walk {
    struct buf *out;
    const char *s;
    size_t len, at;
    struct err *err;
};

static char peek(const struct walk *w, size_t ahead)
{
    return w->at + ahead < w->len ? w->s[w->at + ahead] : '\0';
}

static int refuse(struct walk *w, const char *what)
{
    return err_set(w->err, ERR_FORMAT, "pattern offset %zu: %s is not honoured", w->at,
                   what);
}

static void copy(struct walk *w, size_t n)
{
    buf_put(w->out, w->s + w->at, n);
    w->at += n;
}

static bool is_category(const char *s, size_t n)
{
    static const char *const minor =
        "LuLlLtLmLoMnMcMeNdNlNoPcPdPsPePiPfPoSmScSkSoZsZlZpCcCfCoCnCs";
    if (n == 1)
        return strchr("LMNPSZC", s[0]) != NULL;
    if (n != 2)
        return false;
    return strstr(minor, (char[]){s[0], s[1], '\0'}) && s[0] < 'a' && s[1] >= 'a';
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Translates \p{…}; w->at is at the 'p' or 'P'. */
static int property(struct walk *w)
{
    const char *name = w->s + w->at + 2;
    size_t n = 0;
    if (peek(w, 1) != '{')
        return refuse(w, "\\p without a name in braces");
    while (is_letter(peek(w, 2 + n)) || peek(w, 2 + n) == '_')
        n++;
    if (n == 0 || n > 32 || peek(w, 2 + n) != '}')
        return refuse(w, "this property name");
    buf_printf(w->out, "\\%c{%s%.*s}", w->s[w->at],
               is_category(name, n) ? "" : "sc:", (int)n, name);
    w->at += n + 3;
    return 0;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Translates \xHH, \x{H…} and \uHHHH; w->at is at the 'x' or 'u'. */
static int code_point(struct walk *w)
{
    bool braced = w->s[w->at] == 'x' && peek(w, 1) == '{';
    size_t want = w->s[w->at] == 'u' ? 4 : 2, skip = braced ? 2 : 1, n = 0;
    while (n < (braced ? 6 : want) && is_hex(peek(w, skip + n)))
        n++;
    if (n == 0 || (braced ? peek(w, skip + n) != '}' : n != want))
        return refuse(w, "this escape");
    buf_printf(w->out, "\\x{%.*s}", (int)n, w->s + w->at + skip);
    w->at += skip + n + braced;
    return 0;
}

static int escape(struct walk *w, bool in_class)
{
    w->at++;
    char c = peek(w, 0);
    switch (c) {
    case 's':
        buf_puts(w->out, in_class ? SPACE : "[" SPACE "]");
        break;
    case 'S':
        buf_puts(w->out, in_class ? NOT_SPACE : "[" NOT_SPACE "]");
        break;
    case 'd':
    case 'D':
        buf_puts(w->out, c == 'd' ? "\\p{Nd}" : "\\P{Nd}");
        break;
    case 'r':
    case 'n':
    case 't':
    case 'f':
        buf_printf(w->out, "\\%c", c);
        break;
    case 'v':
        buf_puts(w->out, "\\x{b}");
        break;
    case 'p':
    case 'P':
        return property(w);
    case 'x':
    case 'u':
        return code_point(w);
    default:
        if (c <= ' ' || c >= 0x7F || (c >= '0' && c <= '9') || is_letter(c))
            return refuse(w, "this escape");
        buf_printf(w->out, "\\%c", c);
    }
    w->at++;
    return 0;
}

static int class_item(struct walk *w)
{
    if (peek(w, 0) == '\\')
        return escape(w, true);
    if (peek(w, 0) == '[')
        return refuse(w, "a class within a class");
    if (peek(w, 0) == '&' && peek(w, 1) == '&')
        return refuse(w, "&& in a class");
    copy(w, 1);
    return 0;
}

static int class(struct walk *w)
{
    copy(w, 1);
    if (peek(w, 0) == '^')
        copy(w, 1);
    if (peek(w, 0) == ']')
        return refuse(w, "] as the first of a class");
    while (w->at < w->len && w->s[w->at] != ']') {
        int rc = class_item(w);
        if (rc != 0)
            return rc;
    }
    if (w->at == w->len)
        return refuse(w, "a class without its end");
    copy(w, 1);
    return 0;
}

static int group(struct walk *w)
{
    static const char *const starts[] = {"(?:",  "(?=",  "(?!", "(?>",
                                         "(?<=", "(?<!", "(?i:"};
    if (peek(w, 1) != '?' && peek(w, 1) != '*') {
        copy(w, 1);
        return 0;
    }
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        size_t n = strlen(starts[i]);
        if (w->len - w->at >= n && memcmp(w->s + w->at, starts[i], n) == 0) {
            copy(w, n);
            return 0;
        }
    }
    return refuse(w, "this kind of group");
}

static int interval(struct walk *w)
{
    size_t n = 1, digits = 0;
    for (; peek(w, n) >= '0' && peek(w, n) <= '9'; n++)
        digits++;
    if (digits > 0 && peek(w, n) == ',')
        for (n++; peek(w, n) >= '0' && peek(w, n) <= '9';)
            n++;
    if (digits == 0 || peek(w, n) != '}')
        return refuse(w, "{ but in an interval");
    if (peek(w, n + 1) && strchr("+?*{", peek(w, n + 1)))
        return refuse(w, "a quantified interval");
    copy(w, n + 1);
    return 0;
}

static int construct(struct walk *w)
{
    switch (w->s[w->at]) {
    case '\\':
        return escape(w, false);
    case '[':
        return class(w);
    case '(':
        return group(w);
    case '{':
        return interval(w);
    case '^':
    case '$':
        return refuse(w, "an anchor");
    case '\0':
        return refuse(w, "a NUL");
    default:
        copy(w, 1);
        return 0;
    }
}

int onig_to_pcre_translate(struct buf *out, const char *pattern, size_t len,
                           struct err *err)
{
    struct walk w = {.out = out, .s = pattern, .len = len, .err = err};
    while (w.at < len) {
        int rc = construct(&w);
        if (rc != 0)
            return rc;
    }
    return 0;
}
