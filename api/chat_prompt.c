/* One pass over the marks for ranges, one for the places of messages.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api/chat_prompt.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory for a prompt");
}

/* ---- ranges ------------------------------------------------------------------- */

static bool is_assistant(uint16_t mark)
{
    return (mark & JINJA_MARK_ASSISTANT) != 0;
}

/* Whether two neighbours are in one range, or both in none. */
static bool is_same(uint16_t a, uint16_t b)
{
    return (a == 0) == (b == 0) && is_assistant(a) == is_assistant(b);
}

/* The end of the run of bytes that begins at i. */
static size_t run_end(const uint16_t *marks, size_t len, size_t i)
{
    size_t end = i + 1;
    while (end < len && is_same(marks[end], marks[i]))
        end++;
    return end;
}

/* The ranges, written to out unless it is NULL; answers how many. */
static size_t put_ranges(const uint16_t *marks, size_t len, struct text_mark *out)
{
    size_t n = 0;
    for (size_t i = 0, end; i < len; i = end) {
        end = run_end(marks, len, i);
        if (marks[i] == 0)
            continue;
        if (out)
            out[n] = (struct text_mark){i, end, is_assistant(marks[i])};
        n++;
    }
    return n;
}

static int find_ranges(struct arena *arena, const struct template_text *text,
                       struct chat_prompt *out, struct err *err)
{
    if (!text->marks)
        return 0;
    size_t n = put_ranges(text->marks, text->len, NULL);
    struct text_mark *ranges = arena_alloc(arena, (n + 1) * sizeof *ranges);
    if (!ranges)
        return no_memory(err);
    put_ranges(text->marks, text->len, ranges);
    out->marks = ranges;
    out->n_marks = n;
    return 0;
}

/* ---- turns -------------------------------------------------------------------- */

/* Where the text of one message begins and ends; end 0: it is not there. */
struct extent {
    size_t begin, end;
};

static size_t index_of(uint16_t mark)
{
    return (size_t)(mark & JINJA_MARK_OTHER) - 1;
}

/* Of no message, or of one beyond those that marks can tell apart. */
static bool is_of_none(uint16_t mark)
{
    return (mark & JINJA_MARK_OTHER) == JINJA_MARK_OTHER;
}

static void find_extents(const struct template_text *text, struct extent *extents,
                         size_t n)
{
    for (size_t i = 0; i < text->len; i++) {
        uint16_t mark = text->marks[i];
        if (mark == 0 || index_of(mark) >= n || is_of_none(mark))
            continue;
        struct extent *e = &extents[index_of(mark)];
        if (e->end == 0)
            e->begin = i;
        e->end = i + 1;
    }
}

static int compare(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* In order, once each, without the text's beginning. */
static size_t tidy(size_t *turns, size_t n)
{
    size_t kept = 0;
    qsort(turns, n, sizeof *turns, compare);
    for (size_t i = 0; i < n; i++)
        if (turns[i] && (kept == 0 || turns[i] != turns[kept - 1]))
            turns[kept++] = turns[i];
    return kept;
}

/* The first and the last of many: those between were the last ones when the conversation
 * came so far. */
static size_t keep_ends(size_t *places, size_t n, size_t most)
{
    if (n <= most)
        return n;
    memmove(places + 1, places + n - (most - 1), (most - 1) * sizeof *places);
    return most;
}

/* Where messages begin, and where those that are marked end. */
static size_t put_begins(const struct chat *chat, const struct extent *extents,
                         size_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < chat->n_messages; i++)
        if (extents[i].end)
            out[n++] = extents[i].begin;
    return keep_ends(out, tidy(out, n), CHAT_PROMPT_MESSAGES);
}

static size_t put_ends(const struct chat *chat, const struct extent *extents, size_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < chat->n_messages; i++)
        if (chat->messages[i].breakpoint)
            out[n++] = extents[i].end;
    return keep_ends(out, tidy(out, n), CHAT_PROMPT_BREAKPOINTS);
}

static int find_turns(struct arena *arena, const struct chat *chat,
                      const struct template_text *text, size_t common,
                      struct chat_prompt *out, struct err *err)
{
    size_t n = chat->n_messages;
    struct extent *extents = arena_zalloc(arena, n, sizeof *extents);
    size_t *turns = arena_alloc(arena, (2 * n + 1) * sizeof *turns);
    if (!extents || !turns)
        return no_memory(err);
    if (text->marks)
        find_extents(text, extents, n);
    size_t k = put_begins(chat, extents, turns);
    k += put_ends(chat, extents, turns + k);
    turns[k++] = common;
    out->turns = turns;
    out->n_turns = tidy(turns, k);
    return 0;
}

/* ---- the end ------------------------------------------------------------------ */

/* Whether the template's own mark is open at the end, with nothing but blanks behind. */
static bool ends_inside(const struct template_text *text)
{
    static const char *const opening[] = {"<think>", "[THINK]"};
    size_t len = text->len;
    while (len && strchr(" \t\r\n", text->text[len - 1]) && text->text[len - 1])
        len--;
    for (size_t i = 0; i < sizeof opening / sizeof *opening; i++) {
        size_t n = strlen(opening[i]);
        if (len >= n && memcmp(text->text + len - n, opening[i], n) == 0)
            return !text->marks || text->marks[len - 1] == 0;
    }
    return false;
}

int chat_prompt_make(struct arena *arena, const struct chat *chat,
                     const struct template_text *text, size_t common,
                     struct chat_prompt *out, struct err *err)
{
    *out = (struct chat_prompt){.text = arena_strdup(arena, text->text, text->len),
                                .len = text->len,
                                .in_reasoning = ends_inside(text)};
    int rc = out->text ? find_ranges(arena, text, out, err) : no_memory(err);
    return rc ? rc : find_turns(arena, chat, text, common, out, err);
}
