/*
 * `ssmd complete TEXT`: what a model makes of a text, to standard output as it comes, from
 * a running daemon or one of its own. Main thread. It writes the completion's bytes and
 * nothing else; only on a terminal a line's end follows. Text of standard input is taken
 * as it is, its last newline included, for a newline is a token.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/utf8.h"
#include "server/cmd/client_daemon.h"
#include "server/cmd/cmd.h"
#include "server/cmd/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int read_input(struct buf *text, struct err *err)
{
    char piece[16384];
    ssize_t n = 1;
    while (n != 0) {
        if (interrupt_poll(STDIN_FILENO, POLLIN, -1) < 0)
            return err_set(err, ERR_UNAVAILABLE, "interrupted");
        n = read(STDIN_FILENO, piece, sizeof piece);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_set(err, ERR_IO, "standard input: %s", strerror(errno));
        buf_put(text, piece, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

/* The operand, or standard input for "-" and for none. */
static int read_text(struct buf *text, const char *operand, struct err *err)
{
    int rc = 0;
    if (operand && strcmp(operand, "-") != 0)
        buf_puts(text, operand);
    else if (!operand && isatty(STDIN_FILENO))
        rc = err_set(err, ERR_ARGUMENT,
                     "expected a text, or \"-\" for that of standard input");
    else
        rc = read_input(text, err);
    if (!rc && text->failed)
        rc = err_set(err, ERR_MEMORY, "out of memory for the text");
    if (!rc && text->len && !utf8_valid(text->data, text->len))
        rc = err_set(err, ERR_ARGUMENT, "the text is not UTF-8");
    return rc;
}

static int print_event(void *arg, const struct json *event, struct err *err)
{
    (void)arg;
    size_t len = 0;
    const struct json *choice = json_at(json_get(event, "choices"), 0);
    const char *text = json_as_string(json_get(choice, "text"), &len);
    if (text && (fwrite(text, 1, len, stdout) != len || fflush(stdout) != 0))
        return err_set(err, ERR_IO, "standard output: %s", strerror(errno));
    return 0;
}

static void put_body(struct buf *body, const struct buf *text, const char *const *values)
{
    buf_puts(body, "{\"stream\":true,\"prompt\":");
    buf_json_string(body, text->data ? text->data : "", text->len);
    sampling_flags_put(body, values);
    buf_putc(body, '}');
}

static int complete(const struct config *cfg, const char *const *values,
                    const struct buf *text, struct err *err)
{
    struct client_daemon d;
    struct buf body = {0};
    put_body(&body, text, values);
    int rc = client_daemon_open(&d, cfg, values[COMPLETE_URL], err);
    if (!rc)
        rc = client_daemon_stream(&d, "/v1/completions", &body, print_event, NULL, err);
    client_daemon_close(&d);
    buf_free(&body);
    if (isatty(STDOUT_FILENO))
        puts("");
    return rc;
}

int cmd_complete(const struct config *cfg, const char *const *values,
                 const char *const *operands)
{
    struct buf text = {0};
    struct err err = {0};
    interrupt_install();
    int rc = sampling_flags_check(values, &err);
    if (!rc)
        rc = read_text(&text, operands[0], &err);
    if (!rc)
        rc = complete(cfg, values, &text, &err);
    buf_free(&text);
    if (interrupt_exit_code())
        return interrupt_exit_code();
    return rc ? cmd_fail(err.code == ERR_ARGUMENT ? CMD_USAGE : CMD_FAILED, &err)
              : CMD_OK;
}
