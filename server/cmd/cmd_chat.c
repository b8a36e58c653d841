/*
 * `ssmd chat`: a conversation with a model in a terminal, or line by line through a pipe,
 * with a running daemon or one of its own. Main thread. Answers go to standard output and
 * everything else to standard error. A person may go on after an error; a pipe may not,
 * for what follows would be another conversation.
 *
 * The subtle point: a state that was loaded is named in one request. What that request
 * leaves in the prefix cache serves the next.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/utf8.h"
#include "server/cmd/chat_screen.h"
#include "server/cmd/cmd.h"
#include "server/cmd/interrupt.h"
#include "server/cmd/line_reader.h"
#include "server/cmd/saved_chat.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum turn { TURN_NEXT, TURN_LAST, TURN_FAILED };

struct chat {
    const char *const *values; /* flags; borrows */
    bool person;               /* standard input is a terminal */
    int asked_to_stop;         /* Ctrl-C since the last line */
    struct client_daemon daemon;
    struct saved_chat saved;
    struct line_reader in;
    struct chat_screen screen;
    struct transcript said;
    struct buf answer; /* the text of the answer that is written */
    char load[80];     /* the state that the next request loads; "" = none */
};

/* ---- telling ----------------------------------------------------------------- */

static enum turn told(const struct chat *c, const struct err *err)
{
    cmd_fail(CMD_FAILED, err);
    return c->person && !c->daemon.over ? TURN_NEXT : TURN_FAILED;
}

/* ---- an answer --------------------------------------------------------------- */

static int take_delta(void *arg, const struct json *event, struct err *err)
{
    struct chat *c = arg;
    size_t len = 0;
    const struct json *choice = json_at(json_get(event, "choices"), 0);
    const struct json *delta = json_get(choice, "delta");
    const char *text = json_as_string(json_get(delta, "reasoning_content"), &len);
    int rc = text ? chat_screen_reasoning(&c->screen, text, len, err) : 0;
    text = json_as_string(json_get(delta, "content"), &len);
    if (rc || !text)
        return rc;
    buf_put(&c->answer, text, len);
    return c->answer.failed ? err_set(err, ERR_MEMORY, "out of memory for an answer")
                            : chat_screen_text(&c->screen, text, len, err);
}

static void put_request(const struct chat *c, struct buf *body)
{
    buf_puts(body, "{\"stream\":true,\"messages\":");
    transcript_put(&c->said, NULL, body);
    sampling_flags_put(body, c->values);
    if (c->load[0])
        buf_printf(body, ",\"state\":{\"load\":\"%s\"}", c->load);
    buf_putc(body, '}');
}

static int stream_answer(struct chat *c, struct err *err)
{
    struct buf body = {0};
    put_request(c, &body);
    buf_reset(&c->answer);
    int rc = client_daemon_stream(&c->daemon, "/v1/chat/completions", &body, take_delta,
                                  c, err);
    buf_free(&body);
    return rc;
}

/* A request that was refused leaves the conversation as it was, and no state to be loaded
 * when that was why. */
static enum turn refused(struct chat *c, const struct err *err)
{
    transcript_take_back(&c->said);
    bool parted = c->load[0] && (err->code == ERR_CONFLICT || err->code == ERR_NOT_FOUND);
    enum turn next = told(c, err);
    if (parted && next == TURN_NEXT)
        fprintf(stderr, "The state \"%s\" is not used; say it again without it.\n",
                c->load);
    if (parted)
        c->load[0] = '\0';
    return next;
}

/* What came of an answer stays in the conversation, also when it was stopped. */
static enum turn say(struct chat *c, const char *text, size_t len)
{
    struct err err = {0};
    transcript_add(&c->said, "user", text, len);
    int rc = stream_answer(c, &err);
    bool stopped = rc && interrupt_seen();
    if (rc && !stopped && c->answer.len == 0)
        return refused(c, &err);
    transcript_add(&c->said, "assistant", c->answer.data ? c->answer.data : "",
                   c->answer.len);
    c->load[0] = '\0';
    int unwritten = chat_screen_end(&c->screen, rc ? NULL : &err);
    rc = rc ? rc : unwritten;
    if (!stopped)
        return rc ? told(c, &err) : TURN_NEXT;
    c->asked_to_stop = 1;
    return c->person && interrupt_seen() == INTERRUPT_STOP ? TURN_NEXT : TURN_LAST;
}

/* ---- commands ---------------------------------------------------------------- */

static enum turn save(struct chat *c, const char *name, size_t len)
{
    struct err err = {0};
    int64_t depth;
    (void)len;
    if (saved_chat_save(&c->saved, &c->said, name, &depth, &err))
        return interrupt_seen() ? TURN_NEXT : told(c, &err);
    fprintf(stderr, "Saved \"%s\": %lld tokens, and the messages in %s/%s.chat.json\n",
            name, (long long)depth, c->saved.dir, name);
    return TURN_NEXT;
}

static enum turn load(struct chat *c, const char *name, size_t len)
{
    struct err err = {0};
    (void)len;
    if (saved_chat_load(&c->saved, &c->said, name, &err))
        return interrupt_seen() ? TURN_NEXT : told(c, &err);
    snprintf(c->load, sizeof c->load, "%s", name);
    fprintf(stderr, "Loaded \"%s\": %zu messages\n", name, c->said.n_turns);
    return TURN_NEXT;
}

static enum turn instruct(struct chat *c, const char *text, size_t len)
{
    transcript_instruct(&c->said, text, len);
    return TURN_NEXT;
}

static enum turn reset(struct chat *c, const char *text, size_t len)
{
    (void)text;
    (void)len;
    transcript_reset(&c->said);
    c->load[0] = '\0';
    return TURN_NEXT;
}

static enum turn leave(struct chat *c, const char *text, size_t len)
{
    (void)c;
    (void)text;
    (void)len;
    return TURN_LAST;
}

static enum turn help(struct chat *c, const char *text, size_t len);

enum operand { OPERAND_NONE, OPERAND_NAME, OPERAND_TEXT };

static const struct {
    const char *name, *value, *help;
    enum operand operand;
    enum turn (*run)(struct chat *, const char *text, size_t len);
} commands[] = {
    {"save", "NAME", "save the conversation, and the model's state of it", OPERAND_NAME,
     save},
    {"load", "NAME", "go on with a saved conversation", OPERAND_NAME, load},
    {"system", "[TEXT]", "instructions before all messages; without TEXT none",
     OPERAND_TEXT, instruct},
    {"reset", "", "forget all messages but the instructions", OPERAND_NONE, reset},
    {"help", "", "print this", OPERAND_NONE, help},
    {"exit", "", "end; as Ctrl-D does", OPERAND_NONE, leave},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static enum turn help(struct chat *c, const char *text, size_t len)
{
    (void)c;
    (void)text;
    (void)len;
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "  /%-6s %-7s %s\n", commands[i].name, commands[i].value,
                commands[i].help);
    fputs("  //TEXT          a message that begins with a slash\n"
          "  Ctrl-C          stop the answer; twice: end\n",
          stderr);
    return TURN_NEXT;
}

static enum turn wrong_command(struct chat *c, const char *line)
{
    struct err err;
    err_set(&err, ERR_ARGUMENT, "unknown command \"%.80s\" (see /help)", line);
    return told(c, &err);
}

static enum turn command(struct chat *c, const char *line)
{
    size_t len = strcspn(line + 1, " \t");
    const char *text = line + 1 + len + strspn(line + 1 + len, " \t");
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strlen(commands[i].name) != len ||
            memcmp(commands[i].name, line + 1, len) != 0)
            continue;
        bool fits = commands[i].operand == OPERAND_TEXT ||
                    (commands[i].operand == OPERAND_NAME) == (*text != '\0');
        return fits ? commands[i].run(c, text, strlen(text)) : wrong_command(c, line);
    }
    return wrong_command(c, line);
}

/* ---- lines ------------------------------------------------------------------- */

static enum turn message(struct chat *c, const char *line, size_t len)
{
    struct err err;
    if (!utf8_valid(line, len)) {
        err_set(&err, ERR_ARGUMENT, "the line is not UTF-8");
        return told(c, &err);
    }
    return say(c, line, len);
}

/* A command is text of the line: it ends at a NUL. */
static enum turn take_line(struct chat *c, const char *line, size_t len)
{
    struct buf text = {0};
    enum turn next = TURN_NEXT;
    if (len >= 2 && line[0] == '/' && line[1] == '/')
        return message(c, line + 1, len - 1);
    if (len == 0 || line[0] != '/')
        return len ? message(c, line, len) : TURN_NEXT;
    if (!utf8_valid(line, len))
        return message(c, line, len);
    buf_put(&text, line, len);
    next = text.failed ? TURN_FAILED : command(c, text.data);
    buf_free(&text);
    return next;
}

/* At the prompt: the second Ctrl-C, and any other signal, ends the program. */
static enum turn interrupted(struct chat *c)
{
    if (!c->person || interrupt_seen() == INTERRUPT_END || c->asked_to_stop++)
        return TURN_LAST;
    fputs("\nCtrl-C again, Ctrl-D or /exit to end\n", stderr);
    return TURN_NEXT;
}

static enum turn next_line(struct chat *c)
{
    const char *line;
    size_t len;
    struct err err;
    if (c->person)
        fputs("> ", stderr);
    switch (line_reader_next(&c->in, &line, &len, &err)) {
    case LINE_READER_LINE:
        c->asked_to_stop = 0;
        return take_line(c, line, len);
    case LINE_READER_INTERRUPTED:
        return interrupted(c);
    case LINE_READER_END:
        return TURN_LAST;
    default:
        cmd_fail(CMD_FAILED, &err);
        return TURN_FAILED;
    }
}

/* A person's Ctrl-C is dealt with when the turn is over; elsewhere it decides the exit
 * code. */
static int converse(struct chat *c)
{
    enum turn turn = TURN_NEXT;
    while (turn == TURN_NEXT) {
        turn = next_line(c);
        if (c->person)
            interrupt_clear();
        if (interrupt_seen() && turn == TURN_NEXT)
            turn = TURN_LAST;
    }
    return turn == TURN_FAILED ? CMD_FAILED : CMD_OK;
}

static int open_chat(struct chat *c, const struct config *cfg, struct err *err)
{
    int rc = sampling_flags_check(c->values, err);
    if (rc)
        return rc;
    if (c->person && !c->values[CHAT_FLAG_URL])
        fputs("The model is loading.\n", stderr);
    rc = client_daemon_open(&c->daemon, cfg, c->values[CHAT_FLAG_URL], err);
    c->saved = (struct saved_chat){
        &c->daemon, c->daemon.own ? child_server_dir(&c->daemon.child, cfg) : "."};
    if (c->values[CHAT_FLAG_SYSTEM])
        transcript_instruct(&c->said, c->values[CHAT_FLAG_SYSTEM],
                            strlen(c->values[CHAT_FLAG_SYSTEM]));
    if (!rc && c->person)
        fputs("/help lists the commands.\n", stderr);
    return rc;
}

static void close_chat(struct chat *c)
{
    client_daemon_close(&c->daemon);
    line_reader_free(&c->in);
    transcript_free(&c->said);
    buf_free(&c->answer);
}

int cmd_chat(const struct config *cfg, const char *const *values)
{
    struct chat c = {.values = values, .person = isatty(STDIN_FILENO)};
    struct err err = {0};
    interrupt_install();
    chat_screen_open(&c.screen);
    int rc = open_chat(&c, cfg, &err), code = CMD_OK;
    if (!rc)
        code = converse(&c);
    close_chat(&c);
    if (interrupt_exit_code())
        return interrupt_exit_code();
    if (rc)
        return cmd_fail(err.code == ERR_ARGUMENT ? CMD_USAGE : CMD_FAILED, &err);
    return code;
}
