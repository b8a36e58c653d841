/*
 * Splits a format into its directives, so that each result has the mark of its directive,
 * and has the C library print them one by one. No clock, no time zone. Runs on the
 * render's thread; nothing in this program sets a locale.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_time.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LONGEST_DIRECTIVE = 16 };

struct moment {
    struct tm tm;
    int64_t now_s;
};

/* The length of the directive at `at`, which is a '%': flags, a width, a modifier, a
 * letter; or of what there is of it. */
static size_t directive_len(const struct jinja_string *f, size_t at)
{
    size_t i = at + 1;
    while (i < f->len && f->text[i] && strchr("_-0^#+123456789", f->text[i]))
        i++;
    if (i < f->len && (f->text[i] == 'E' || f->text[i] == 'O'))
        i++;
    while (i < f->len && ((unsigned char)f->text[i] & 0xC0) == 0x80)
        i++;
    return i < f->len && f->text[i] ? i + 1 - at : i - at;
}

/* What the C library does not know, or would ask the machine's zone for; NULL: it knows. */
static const char *own(char letter, const struct moment *m, char room[24])
{
    snprintf(room, 24, "%" PRId64, m->now_s);
    return letter == 'f' ? "000000" : letter == 's' ? room : NULL;
}

static void put_directive(struct jinja_builder *b, const struct jinja_string *f,
                          size_t at, size_t len, const struct moment *m)
{
    char text[JINJA_TIME_WIDEST], format[LONGEST_DIRECTIVE + 2], room[24];
    const char *mine = own(f->text[at + len - 1], m, room);
    uint16_t mark = jinja_string_mark(f, at);
    if (mine) {
        jinja_string_put(b, mine, strlen(mine), mark);
        return;
    }
    if (len > LONGEST_DIRECTIVE) {
        jinja_render_fail(b->render, "strftime: a directive of %zu bytes", len);
        return;
    }
    /* A blank in front: a result is never empty, as %p may be. */
    snprintf(format, sizeof format, " %.*s", (int)len, f->text + at);
    size_t n = strftime(text, sizeof text, format, &m->tm);
    if (n == 0)
        jinja_render_fail(b->render, "strftime: a directive wider than %d characters",
                          JINJA_TIME_WIDEST - 2);
    else
        jinja_string_put(b, text + 1, n - 1, mark);
}

struct jinja_value jinja_time(struct jinja_render *r, const struct jinja_string *format,
                              int64_t now_s)
{
    struct jinja_builder b;
    struct moment m = {.now_s = now_s};
    time_t seconds = (time_t)now_s;
    jinja_string_begin(&b, r);
    if (!gmtime_r(&seconds, &m.tm))
        return jinja_render_fail(r, "the time %" PRId64 " is beyond years", now_s);
    m.tm.tm_isdst = -1; /* with these two %z and %Z are nothing */
    m.tm.tm_zone = "";
    for (size_t i = 0, n; i < format->len && !r->failed; i += n) {
        const char *percent = memchr(format->text + i, '%', format->len - i);
        n = percent ? (size_t)(percent - format->text) - i : format->len - i;
        if (n > 0) {
            jinja_string_slice(&b, format, i, n);
            continue;
        }
        n = directive_len(format, i);
        put_directive(&b, format, i, n, &m);
    }
    return jinja_string_end(&b);
}
