/*
 * Lines of standard input, from a terminal in its canonical mode or from a pipe. Main
 * thread; the reading ends for a signal (interrupt.h). A line of more than 16 MiB is an
 * error, a last line without its end is a line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CMD_LINE_READER_H
#define SERVER_CMD_LINE_READER_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

#include <stdbool.h>

enum line_reader_result {
    LINE_READER_LINE,
    LINE_READER_END,
    LINE_READER_INTERRUPTED, /* what was typed of a line is gone */
    LINE_READER_FAILED
};

/* A zeroed struct is a reader at its begin. */
struct line_reader {
    struct buf in; /* owns */
    size_t taken;  /* bytes of the last line */
    bool ended;
};

/* The next line without LF or CRLF; borrows until the next call. err for FAILED. */
enum line_reader_result line_reader_next(struct line_reader *r, const char **line,
                                         size_t *len, struct err *err);

void line_reader_free(struct line_reader *r);

#endif
