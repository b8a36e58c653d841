/*
 * Modes that read what is held: reasoning, content, a call. Each reads as far as the bytes
 * allow and says whether another mode may go on, so that the result depends on the bytes
 * alone.
 *
 * The subtle point: nothing leaves before it is known what it is. A call's bytes, and the
 * blanks before it, wait until the call is whole; if it breaks, content goes on behind its
 * start mark, where the next one may be found.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/tools/answer_parser.h"

#include "api/tools/answer_hold.h"
#include "api/tools/tool_form.h"
#include "engine/base/mem.h"

#include <string.h>

enum mode { BEGIN, REASONING_BEGIN, REASONING, REASONING_END, CONTENT, CALL };

static const struct tool_mark thoughts[] = {{"<think>", "</think>"},
                                            {"[THINK]", "[/THINK]"}};
enum { N_THOUGHTS = sizeof thoughts / sizeof *thoughts };

struct answer_parser {
    struct answer_options o;
    const struct tool_form *form; /* NULL: none */
    enum mode mode;
    bool final, no_memory;
    struct answer_hold hold;
    size_t seen;  /* looked at so far, in the present mode */
    int thought;  /* which reasoning mark is open; -1: either may be */
    size_t solid; /* reasoning: behind its last byte that is no newline */
    bool edge;    /* content: nothing but blanks since its begin or since a call */
    bool called;  /* a call stands before the content */
    bool
        in_broken; /* list: behind a broken call, from broken_at on, a good one may come */
    size_t broken_at;
    bool guess; /* call: behind a broken one */
    struct tool_scan scan;
    size_t n_calls, n_failures;
};

int answer_parser_open(struct answer_parser **out, const struct answer_options *o,
                       struct err *err)
{
    struct answer_parser *p = mem_zalloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_MEMORY, "out of memory for the parser of an answer");
    p->o = *o;
    p->form = tool_form_of(o->format);
    p->mode = o->reasoning ? BEGIN : CONTENT;
    p->thought = -1;
    p->edge = p->form != NULL;
    p->scan.form = p->form;
    p->scan.specs = o->specs;
    p->scan.n_specs = o->n_specs;
    *out = p;
    return 0;
}

void answer_parser_free(struct answer_parser *p)
{
    if (!p)
        return;
    answer_hold_free(&p->hold);
    tool_args_free(&p->scan.args);
    buf_free(&p->scan.name);
    buf_free(&p->scan.arguments);
    mem_free(p);
}

static void pass_reasoning(void *arg, const char *s, size_t len)
{
    struct answer_parser *p = arg;
    p->o.sink.text(p->o.sink.arg, ANSWER_REASONING, s, len);
}

static void pass_content(void *arg, const char *s, size_t len)
{
    struct answer_parser *p = arg;
    p->o.sink.text(p->o.sink.arg, ANSWER_CONTENT, s, len);
}

/* What the bytes at `at` make of a mark. */
static enum tool_match match(const struct answer_parser *p, size_t at, const char *mark)
{
    size_t len = strlen(mark), left = p->hold.text.len - at;
    if (memcmp(p->hold.text.data + at, mark, left < len ? left : len) != 0)
        return TOOL_DIFFERENT;
    if (left >= len)
        return TOOL_MATCH;
    return p->final ? TOOL_DIFFERENT : TOOL_PARTIAL;
}

/* ---- reasoning ------------------------------------------------------------------------ */

static bool open_thought(struct answer_parser *p, int thought, size_t at)
{
    p->thought = thought;
    p->mode = REASONING_BEGIN;
    p->seen = at;
    return true;
}

/* Blanks, then perhaps the mark; if the prompt has opened it, a second one is none. */
static bool begin(struct answer_parser *p)
{
    const struct buf *text = &p->hold.text;
    while (p->seen < text->len && tool_scan_blank(text->data[p->seen]))
        p->seen++;
    if (p->seen == text->len && !p->final)
        return false;
    for (int i = 0; i < N_THOUGHTS && p->seen < text->len; i++) {
        enum tool_match m = match(p, p->seen, thoughts[i].open);
        if (m == TOOL_PARTIAL)
            return false;
        if (m == TOOL_DIFFERENT)
            continue;
        answer_hold_leave(&p->hold, p->seen + strlen(thoughts[i].open), NULL, NULL);
        return open_thought(p, i, p->hold.head);
    }
    if (p->o.inside)
        return open_thought(p, -1, p->hold.head);
    p->mode = CONTENT;
    p->seen = p->hold.head;
    return true;
}

/* Newlines at the head belong to no part. */
static bool skip_newlines(struct answer_parser *p, enum mode then)
{
    const struct buf *text = &p->hold.text;
    size_t at = p->hold.head;
    while (at < text->len && text->data[at] == '\n')
        at++;
    answer_hold_leave(&p->hold, at, NULL, NULL);
    p->seen = p->solid = at;
    if (at < text->len)
        p->mode = then;
    return at < text->len;
}

static bool reasoning_begin(struct answer_parser *p)
{
    return skip_newlines(p, REASONING);
}

static bool reasoning_end(struct answer_parser *p)
{
    return skip_newlines(p, CONTENT);
}

/* The closing mark at `at`; *len: its length. */
static enum tool_match close_thought(const struct answer_parser *p, size_t at,
                                     size_t *len)
{
    enum tool_match found = TOOL_DIFFERENT;
    for (int i = 0; i < N_THOUGHTS && found == TOOL_DIFFERENT; i++) {
        if (p->thought >= 0 && p->thought != i)
            continue;
        found = match(p, at, thoughts[i].close);
        *len = strlen(thoughts[i].close);
    }
    return found;
}

static bool reasoning(struct answer_parser *p)
{
    struct answer_hold *h = &p->hold;
    enum tool_match m = TOOL_DIFFERENT;
    size_t len = 0;
    for (; p->seen < h->text.len; p->seen++) {
        m = close_thought(p, p->seen, &len);
        if (m != TOOL_DIFFERENT)
            break;
        if (h->text.data[p->seen] != '\n')
            p->solid = p->seen + 1;
    }
    answer_hold_leave(h, p->final && m != TOOL_MATCH ? h->text.len : p->solid,
                      pass_reasoning, p);
    if (m != TOOL_MATCH)
        return false;
    answer_hold_leave(h, p->seen + len, NULL, NULL);
    p->mode = REASONING_END;
    return true;
}

/* ---- content -------------------------------------------------------------------------- */

static bool start_call(struct answer_parser *p, const struct tool_mark *mark, size_t at)
{
    struct tool_scan *s = &p->scan;
    s->unit = p->seen;
    s->at = at;
    s->resume = at > p->seen ? at : p->seen + 1;
    s->mark = mark;
    s->listed = false;
    s->quiet = p->guess || !mark;
    s->phase = p->guess ? p->form->resume : p->form->begin;
    p->mode = CALL;
    return true;
}

/* Starts that are no mark: a brace first of all; a separator behind a broken call. */
static bool bare_start(struct answer_parser *p)
{
    char c = p->hold.text.data[p->seen];
    bool brace = p->form->brace && p->edge && !p->called && c == '{';
    p->guess = p->in_broken && p->seen >= p->broken_at && c == p->form->separator;
    return (brace || p->guess) &&
           start_call(p, brace ? NULL : p->scan.mark, p->seen + p->guess);
}

/* Looks for a start at p->seen; MATCH: the mode has changed. */
static enum tool_match find_start(struct answer_parser *p)
{
    const struct tool_mark *marks = p->form->marks;
    for (int i = 0; i < TOOL_FORM_MARKS && marks[i].open; i++) {
        enum tool_match m = match(p, p->seen, marks[i].open);
        if (m == TOOL_DIFFERENT)
            continue;
        p->guess = false;
        if (m == TOOL_MATCH)
            start_call(p, &marks[i], p->seen + strlen(marks[i].open));
        return m;
    }
    return bare_start(p) ? TOOL_MATCH : TOOL_DIFFERENT;
}

/* Blanks at an edge wait for what follows; before a call, or behind the last, they are
 * no content. True: they have ended. */
static bool skip_edge(struct answer_parser *p)
{
    const struct buf *text = &p->hold.text;
    while (p->seen < text->len && tool_scan_blank(text->data[p->seen]))
        p->seen++;
    if (p->seen < text->len)
        return true;
    if (p->final)
        answer_hold_leave(&p->hold, text->len, p->called ? NULL : pass_content, p);
    return false;
}

static bool content(struct answer_parser *p)
{
    struct answer_hold *h = &p->hold;
    enum tool_match m = TOOL_DIFFERENT;
    if (p->edge && !skip_edge(p))
        return false;
    for (; p->form && p->seen < h->text.len; p->seen++) {
        bool edge = p->edge;
        m = find_start(p);
        if (m != TOOL_DIFFERENT && edge)
            return m == TOOL_MATCH;
        p->edge = false;
        if (m != TOOL_DIFFERENT)
            break;
    }
    if (!p->form)
        p->seen = h->text.len;
    answer_hold_leave(h, p->seen, pass_content, p);
    return m == TOOL_MATCH;
}

/* ---- calls ---------------------------------------------------------------------------- */

static void pass_call(struct answer_parser *p)
{
    struct tool_scan *s = &p->scan;
    if (p->o.most_calls == 0 || p->n_calls < p->o.most_calls)
        p->o.sink.call(p->o.sink.arg, &s->call);
    p->n_calls++;
    answer_hold_leave(&p->hold, s->at, NULL, NULL);
    s->unit = s->resume = s->at;
    s->quiet = p->guess = p->in_broken = p->edge = false;
    p->called = true;
}

static bool to_content(struct answer_parser *p, size_t seen)
{
    p->mode = CONTENT;
    p->seen = seen;
    return true;
}

static bool broken(struct answer_parser *p)
{
    struct tool_scan *s = &p->scan;
    p->n_failures += !s->quiet && !p->guess;
    p->in_broken = p->form->separator && (p->guess || !s->quiet);
    p->broken_at = s->at;
    p->edge = false;
    return to_content(p, s->resume);
}

static enum tool_step step(struct answer_parser *p)
{
    struct tool_scan *s = &p->scan;
    enum tool_step t;
    s->s = p->hold.text.data;
    s->len = p->hold.text.len;
    s->final = p->final;
    do {
        s->wall = answer_hold_special(&p->hold, s->at);
        t = s->phase(s);
    } while (t == TOOL_NEXT);
    if (s->name.failed || s->arguments.failed || s->args.text.failed)
        p->no_memory = true;
    return t;
}

static bool call(struct answer_parser *p)
{
    struct tool_scan *s = &p->scan;
    enum tool_step t = step(p);
    bool whole = t == TOOL_CALL &&
                 (!p->guess || tool_scan_spec(s, s->call.name, s->call.name_len));
    if (t == TOOL_MORE || p->no_memory)
        return false;
    if (whole)
        pass_call(p);
    buf_reset(&s->name);
    buf_reset(&s->arguments);
    if (whole)
        return true;
    if (t != TOOL_END)
        return broken(p);
    answer_hold_leave(&p->hold, s->at, NULL, NULL);
    p->edge = true;
    return to_content(p, s->at);
}

/* ---- the door ------------------------------------------------------------------------- */

static void advance(struct answer_parser *p)
{
    static bool (*const modes[])(struct answer_parser *) = {
        [BEGIN] = begin,         [REASONING_BEGIN] = reasoning_begin,
        [REASONING] = reasoning, [REASONING_END] = reasoning_end,
        [CONTENT] = content,     [CALL] = call,
    };
    while (!p->no_memory && modes[p->mode](p))
        ;
}

static void compact(struct answer_parser *p)
{
    size_t by = p->mode == CALL ? 0 : answer_hold_compact(&p->hold);
    if (by)
        p->scan.memo = (struct tool_memo){0};
    p->seen -= by;
    p->solid -= p->solid < by ? p->solid : by;
    p->broken_at -= p->broken_at < by ? p->broken_at : by;
}

bool answer_parser_reasoning(const struct answer_parser *p)
{
    return p->mode == REASONING_BEGIN || p->mode == REASONING ||
           (p->mode == BEGIN && p->o.inside);
}

static bool is_thought(const char *s, size_t len)
{
    for (int i = 0; i < N_THOUGHTS; i++) {
        const char *open = thoughts[i].open, *close = thoughts[i].close;
        if ((strlen(open) == len && memcmp(open, s, len) == 0) ||
            (strlen(close) == len && memcmp(close, s, len) == 0))
            return true;
    }
    return false;
}

/* Whether a special token is kept; *special: as a mark, else as text. */
static bool keep(const struct answer_parser *p, const char *s, size_t len, bool *special)
{
    if (is_thought(s, len)) {
        *special = p->o.reasoning;
        return !p->o.reasoning || p->mode < CONTENT;
    }
    return tool_form_is_mark(p->form, s, len) && !answer_parser_reasoning(p);
}

void answer_parser_push(struct answer_parser *p, const char *s, size_t len, bool special)
{
    if (p->final || (special && !keep(p, s, len, &special)))
        return;
    compact(p);
    answer_hold_put(&p->hold, s, len, special);
    p->no_memory = p->no_memory || p->hold.failed;
    advance(p);
}

void answer_parser_finish(struct answer_parser *p)
{
    if (p->final)
        return;
    p->final = true;
    advance(p);
}

size_t answer_parser_failures(const struct answer_parser *p)
{
    return p->n_failures;
}

bool answer_parser_no_memory(const struct answer_parser *p)
{
    return p->no_memory;
}
