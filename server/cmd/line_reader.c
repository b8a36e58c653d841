/* Standard input by lines.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/line_reader.h"

#include "server/cmd/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 16 << 20 };

static bool take_line(struct line_reader *r, const char **line, size_t *len)
{
    const char *end = r->in.len ? memchr(r->in.data, '\n', r->in.len) : NULL;
    if (!end && !(r->ended && r->in.len))
        return false;
    *line = r->in.data;
    *len = end ? (size_t)(end - r->in.data) : r->in.len;
    r->taken = *len + 1;
    if (*len && (*line)[*len - 1] == '\r')
        --*len;
    return true;
}

static int read_more(struct line_reader *r, struct err *err)
{
    char piece[16384];
    ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return err_set(err, ERR_IO, "standard input: %s", strerror(errno));
    r->ended = n == 0;
    buf_put(&r->in, piece, n > 0 ? (size_t)n : 0);
    if (r->in.failed || r->in.len > LINE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "standard input: a line of more than %d bytes",
                       (int)LINE_BYTES);
    return 0;
}

enum line_reader_result line_reader_next(struct line_reader *r, const char **line,
                                         size_t *len, struct err *err)
{
    buf_drop(&r->in, r->taken);
    r->taken = 0;
    while (!take_line(r, line, len)) {
        if (r->ended)
            return LINE_READER_END;
        if (interrupt_poll(STDIN_FILENO, POLLIN, -1) < 0) {
            buf_reset(&r->in);
            return LINE_READER_INTERRUPTED;
        }
        if (read_more(r, err))
            return LINE_READER_FAILED;
    }
    return LINE_READER_LINE;
}

void line_reader_free(struct line_reader *r)
{
    buf_free(&r->in);
    *r = (struct line_reader){0};
}
