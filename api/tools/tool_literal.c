/* One function a state, one byte a call. In Python's dialect a comma is written when the
 * next element begins, since none may.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/tools/tool_literal.h"

#include "engine/base/utf8.h"

#include <string.h>

enum state {
    VALUE,
    ELEMENT, /* a value, or the end of a list */
    KEY,
    MEMBER, /* a key, or the end of an object */
    COLON,
    BEHIND, /* a value that is inside another */
    STRING,
    ESCAPE,
    HEX,
    NUMBER,
    WORD,
    ENDED
};

/* Parts of a number; those that may be its last have odd values. */
enum { SIGN = 0, ZERO = 1, POINT = 2, DIGITS = 3, BARE_POINT = 4, FRACTION = 5 };
enum { EXPONENT = 6, EXPONENT_DIGITS = 7, EXPONENT_SIGN = 8 };

enum take { TAKEN, AGAIN, REFUSED };

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void put(struct tool_literal *l, const char *s)
{
    if (l->out)
        buf_puts(l->out, s);
}

/* A character of a string, as JSON writes it. */
static void put_code(struct buf *out, uint32_t code)
{
    char text[4];
    if (code == '"' || code == '\\')
        buf_printf(out, "\\%c", (int)code);
    else if (code == '\n')
        buf_puts(out, "\\n");
    else if (code < 0x20)
        buf_printf(out, "\\u%04x", (unsigned)code);
    else
        buf_put(out, text, (size_t)utf8_encode(code, text));
}

/* Whether what stands next is the outermost object's own. */
static bool outermost_member(const struct tool_literal *l)
{
    return l->depth == 1 && l->stack[0] == '{';
}

static void set_kind(struct tool_literal *l, enum tool_kind kind)
{
    if (l->depth == 0)
        l->kind = kind;
    else if (outermost_member(l))
        l->value_kind = kind;
}

static void end_value(struct tool_literal *l, size_t end)
{
    l->state = l->depth ? BEHIND : ENDED;
    l->member = outermost_member(l);
    if (l->member)
        l->value.end = end;
}

static enum take open_container(struct tool_literal *l, char c)
{
    if (l->depth == TOOL_LITERAL_DEPTH)
        return REFUSED;
    set_kind(l, c == '{' ? TOOL_KIND_OBJECT : TOOL_KIND_ARRAY);
    l->stack[l->depth++] = (uint8_t)c;
    l->state = c == '{' ? MEMBER : ELEMENT;
    put(l, c == '{' ? "{" : "[");
    return TAKEN;
}

/* One element in parentheses without a comma is no tuple. */
static enum take close_container(struct tool_literal *l, char c)
{
    uint8_t open = l->stack[l->depth - 1];
    bool tuple = open == ',' || (open == '(' && l->state == ELEMENT);
    if (!(c == '}' && open == '{') && !(c == ']' && open == '[') && !(c == ')' && tuple))
        return REFUSED;
    l->depth--;
    l->comma = false;
    put(l, c == '}' ? "}" : "]");
    end_value(l, l->at + 1);
    return TAKEN;
}

static void open_string(struct tool_literal *l, char quote, bool is_key)
{
    l->quote = (uint8_t)quote;
    l->is_key = is_key;
    l->high = 0;
    l->state = STRING;
    put(l, "\"");
}

static bool is_quote(const struct tool_literal *l, char c)
{
    return c == '"' || (c == '\'' && l->out);
}

static enum take close_string(struct tool_literal *l)
{
    put(l, "\"");
    if (!l->is_key) {
        end_value(l, l->at + 1);
        return TAKEN;
    }
    if (outermost_member(l))
        l->key.end = l->at + 1;
    l->state = COLON;
    return TAKEN;
}

static enum take open_word(struct tool_literal *l, char c)
{
    static const struct {
        const char *text, *json;
        enum tool_kind kind;
    } words[] = {
        {"true", "true", TOOL_KIND_BOOLEAN},   {"false", "false", TOOL_KIND_BOOLEAN},
        {"null", "null", TOOL_KIND_NULL},      {"True", "true", TOOL_KIND_BOOLEAN},
        {"False", "false", TOOL_KIND_BOOLEAN}, {"None", "null", TOOL_KIND_NULL},
    };
    size_t n = l->out ? 6 : 3;
    for (size_t i = 0; i < n; i++) {
        if (words[i].text[0] != c)
            continue;
        set_kind(l, words[i].kind);
        l->word = words[i].text + 1;
        l->state = WORD;
        put(l, words[i].json);
        return TAKEN;
    }
    return REFUSED;
}

static enum take open_number(struct tool_literal *l, char c)
{
    bool digit = c >= '0' && c <= '9';
    if (!digit && c != '-' && !(l->out && (c == '+' || c == '.')))
        return open_word(l, c);
    set_kind(l, TOOL_KIND_INTEGER);
    l->state = NUMBER;
    l->number = SIGN;
    if (c == '-')
        put(l, "-");
    return c == '-' || c == '+' ? TAKEN : AGAIN;
}

static void put_comma(struct tool_literal *l)
{
    if (l->comma)
        put(l, ", ");
    l->comma = false;
}

static enum take value(struct tool_literal *l, char c)
{
    if (blank(c))
        return TAKEN;
    put_comma(l);
    if (outermost_member(l))
        l->value.at = l->at;
    if (c == '{' || c == '[' || (c == '(' && l->out))
        return open_container(l, c);
    if (!is_quote(l, c))
        return open_number(l, c);
    set_kind(l, TOOL_KIND_STRING);
    open_string(l, c, false);
    return TAKEN;
}

static enum take element(struct tool_literal *l, char c)
{
    return c == ']' || c == ')' ? close_container(l, c) : value(l, c);
}

static enum take key(struct tool_literal *l, char c)
{
    if (blank(c))
        return TAKEN;
    if (!is_quote(l, c))
        return REFUSED;
    put_comma(l);
    if (outermost_member(l))
        l->key.at = l->at;
    open_string(l, c, true);
    return TAKEN;
}

static enum take member(struct tool_literal *l, char c)
{
    return c == '}' ? close_container(l, c) : key(l, c);
}

static enum take colon(struct tool_literal *l, char c)
{
    if (blank(c))
        return TAKEN;
    if (c != ':')
        return REFUSED;
    l->state = VALUE;
    put(l, ": ");
    return TAKEN;
}

static enum take behind(struct tool_literal *l, char c)
{
    uint8_t *open = &l->stack[l->depth - 1];
    if (blank(c))
        return TAKEN;
    if (c != ',')
        return close_container(l, c);
    if (*open == '{')
        l->state = l->out ? MEMBER : KEY;
    else
        l->state = l->out ? ELEMENT : VALUE;
    if (*open == '(')
        *open = ',';
    l->comma = true;
    return TAKEN;
}

static enum take string(struct tool_literal *l, char c)
{
    if (c == '\\') {
        l->state = ESCAPE;
        return TAKEN;
    }
    if (l->high || (!l->out && (unsigned char)c < 0x20))
        return REFUSED;
    if ((uint8_t)c == l->quote)
        return close_string(l);
    if (l->out && ((unsigned char)c < 0x20 || c == '"'))
        put_code(l->out, (unsigned char)c);
    else if (l->out)
        buf_putc(l->out, c);
    return TAKEN;
}

static enum take open_hex(struct tool_literal *l, uint8_t digits)
{
    l->digits_left = digits;
    l->code = 0;
    l->state = HEX;
    return TAKEN;
}

/* Python knows more escapes, and keeps the backslash before any other character. */
static enum take python_escape(struct tool_literal *l, char c)
{
    static const char names[] = "\\'\"abfnrtv", codes[] = "\\'\"\a\b\f\n\r\t\v";
    const char *at = c ? strchr(names, c) : NULL;
    if (c == 'x' || c == 'U')
        return open_hex(l, c == 'x' ? 2 : 8);
    l->state = STRING;
    if (c == '\n')
        return TAKEN;
    put_code(l->out, at ? (unsigned char)codes[at - names] : '\\');
    return at ? TAKEN : AGAIN;
}

static enum take escape(struct tool_literal *l, char c)
{
    if (c == 'u')
        return open_hex(l, 4);
    if (l->high)
        return REFUSED;
    if (l->out)
        return python_escape(l, c);
    l->state = STRING;
    return c && strchr("\"\\/bfnrt", c) ? TAKEN : REFUSED;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The code point of l->code and the half before it; 0x110000 and above: none. */
static uint32_t join_halves(const struct tool_literal *l)
{
    bool low = l->code >= 0xDC00 && l->code < 0xE000;
    if (low != (l->high != 0))
        return UINT32_MAX;
    return low ? 0x10000 + ((l->high - 0xD800) << 10) + (l->code - 0xDC00) : l->code;
}

static enum take hex(struct tool_literal *l, char c)
{
    int digit = hex_digit(c);
    if (digit < 0)
        return REFUSED;
    l->code = l->code << 4 | (uint32_t)digit;
    if (--l->digits_left)
        return TAKEN;
    l->state = STRING;
    if (!l->high && l->code >= 0xD800 && l->code < 0xDC00) {
        l->high = l->code;
        return TAKEN;
    }
    uint32_t code = join_halves(l);
    l->high = 0;
    if (code > 0x10FFFF)
        return REFUSED;
    if (l->out)
        put_code(l->out, code);
    return TAKEN;
}

/* What a number's next character makes of its part; -1: it is no part of it. */
static int number_part(const struct tool_literal *l, char c)
{
    static const int8_t by_digit[] = {
        DIGITS,         -1,       FRACTION,        DIGITS,
        FRACTION,       FRACTION, EXPONENT_DIGITS, EXPONENT_DIGITS,
        EXPONENT_DIGITS};
    bool whole = l->number == ZERO || l->number == DIGITS;
    if (c >= '0' && c <= '9')
        return l->number == SIGN && c == '0' ? ZERO : by_digit[l->number];
    if (c == '.')
        return whole ? POINT : l->number == SIGN && l->out ? BARE_POINT : -1;
    if (c == 'e' || c == 'E')
        return whole || l->number == FRACTION || (l->number == POINT && l->out) ? EXPONENT
                                                                                : -1;
    return (c == '+' || c == '-') && l->number == EXPONENT ? EXPONENT_SIGN : -1;
}

static enum take number(struct tool_literal *l, char c)
{
    int part = number_part(l, c);
    bool bare = l->number == POINT && part != FRACTION; /* Python's `5.` */
    if (bare)
        put(l, "0");
    if (part < 0) {
        if (!(l->number & 1) && !(bare && l->out))
            return REFUSED;
        end_value(l, l->at);
        return AGAIN;
    }
    if (part == BARE_POINT)
        put(l, "0");
    if (part == POINT || part == BARE_POINT || part == EXPONENT)
        set_kind(l, TOOL_KIND_REAL);
    l->number = (uint8_t)part;
    if (l->out)
        buf_putc(l->out, c);
    return TAKEN;
}

static enum take word(struct tool_literal *l, char c)
{
    if (c != *l->word)
        return REFUSED;
    if (!*++l->word)
        end_value(l, l->at + 1);
    return TAKEN;
}

void tool_literal_begin(struct tool_literal *l, size_t at, struct buf *out)
{
    l->out = out;
    l->kind = TOOL_KIND_NONE;
    l->at = at;
    l->key = l->value = (struct tool_span){0};
    l->state = VALUE;
    l->depth = 0;
    l->comma = l->member = false;
}

enum tool_literal_status tool_literal_run(struct tool_literal *l, const char *s,
                                          size_t end)
{
    static enum take (*const steps[])(struct tool_literal *, char) = {
        [VALUE] = value, [ELEMENT] = element, [KEY] = key,       [MEMBER] = member,
        [COLON] = colon, [BEHIND] = behind,   [STRING] = string, [ESCAPE] = escape,
        [HEX] = hex,     [NUMBER] = number,   [WORD] = word,
    };
    while (l->state != ENDED) {
        if (l->at >= end)
            return TOOL_LITERAL_MORE;
        enum take take = steps[l->state](l, s[l->at]);
        if (take == REFUSED)
            return TOOL_LITERAL_BROKEN;
        l->at += take == TAKEN;
        if (l->member) {
            l->member = false;
            return TOOL_LITERAL_MEMBER;
        }
    }
    return TOOL_LITERAL_DONE;
}

enum tool_literal_status tool_literal_end(struct tool_literal *l)
{
    if (l->state == NUMBER && l->depth == 0)
        number(l, ' ');
    return l->state == ENDED ? TOOL_LITERAL_DONE : TOOL_LITERAL_BROKEN;
}

enum tool_kind tool_literal_kind(const char *s, size_t len, struct buf *out)
{
    struct tool_literal l;
    enum tool_literal_status status;
    size_t mark = out ? out->len : 0;
    tool_literal_begin(&l, 0, out);
    do
        status = tool_literal_run(&l, s, len);
    while (status == TOOL_LITERAL_MEMBER);
    if (status == TOOL_LITERAL_MORE)
        status = tool_literal_end(&l);
    while (l.at < len && blank(s[l.at]))
        l.at++;
    if (status == TOOL_LITERAL_DONE && l.at == len)
        return l.kind;
    if (out)
        out->len = mark;
    return TOOL_KIND_NONE;
}

/* The code point behind "\u" at s; skips its second half, if there is one. */
static uint32_t read_escape(const char **s)
{
    uint32_t code = 0, low = 0;
    for (int i = 0; i < 4; i++)
        code = code << 4 | (uint32_t)hex_digit(*(*s)++);
    if (code < 0xD800 || code >= 0xE000)
        return code;
    *s += 2;
    for (int i = 0; i < 4; i++)
        low = low << 4 | (uint32_t)hex_digit(*(*s)++);
    return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

void tool_literal_text(struct buf *out, const char *s, size_t len)
{
    static const char names[] = "bfnrt", codes[] = "\b\f\n\r\t";
    char text[4];
    for (const char *end = s++ + len - 1; s < end;) {
        const char *plain = s;
        while (s < end && *s != '\\')
            s++;
        buf_put(out, plain, (size_t)(s - plain));
        if (s == end)
            return;
        char c = s[1];
        s += 2;
        const char *at = strchr(names, c);
        if (c == 'u')
            buf_put(out, text, (size_t)utf8_encode(read_escape(&s), text));
        else
            buf_putc(out, at ? codes[at - names] : c);
    }
}
