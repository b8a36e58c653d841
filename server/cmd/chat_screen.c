/* Escape sequences of ECMA-48 that every terminal has: faint, and normal again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/chat_screen.h"

#include "engine/base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void chat_screen_open(struct chat_screen *s)
{
    *s = (struct chat_screen){.terminal = isatty(STDOUT_FILENO)};
}

static bool obeyed(uint32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
}

static void write_filtered(const char *text, size_t len)
{
    for (size_t at = 0, n; at < len; at += n) {
        uint32_t c = 0;
        int got = utf8_decode(text + at, len - at, &c);
        n = got > 0 ? (size_t)got : 1;
        if (got > 0 && !obeyed(c))
            fwrite(text + at, 1, n, stdout);
        else
            fputs("\xef\xbf\xbd", stdout);
    }
}

static int flush(struct err *err)
{
    return fflush(stdout) == 0 && !ferror(stdout)
               ? 0
               : err_set(err, ERR_IO, "standard output: %s", strerror(errno));
}

static void set_dim(struct chat_screen *s, bool dim)
{
    if (s->dim != dim && s->terminal)
        fputs(dim ? "\033[2m" : "\033[0m\n", stdout);
    s->dim = dim;
}

int chat_screen_text(struct chat_screen *s, const char *text, size_t len, struct err *err)
{
    if (len == 0)
        return 0;
    set_dim(s, false);
    if (s->terminal)
        write_filtered(text, len);
    else
        fwrite(text, 1, len, stdout);
    return flush(err);
}

int chat_screen_reasoning(struct chat_screen *s, const char *text, size_t len,
                          struct err *err)
{
    if (len == 0 || !s->terminal)
        return 0;
    set_dim(s, true);
    write_filtered(text, len);
    return flush(err);
}

int chat_screen_end(struct chat_screen *s, struct err *err)
{
    bool dim = s->dim && s->terminal;
    set_dim(s, false);
    if (!dim)
        fputc('\n', stdout);
    return flush(err);
}
