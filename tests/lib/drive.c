/* Driving an engine. Used by tests only, on their one thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/drive.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

void drive_emit(void *arg, const struct event *ev)
{
    struct drive *d = arg;
    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 256;
        d->notes = realloc(d->notes, d->cap * sizeof *d->notes);
        assert_non_null(d->notes);
    }
    struct note *n = &d->notes[d->n++];
    char *text = malloc(ev->text_len + 1);
    assert_non_null(text);
    memcpy(text, ev->text ? ev->text : "", ev->text_len);
    text[ev->text_len] = '\0';
    n->ev = *ev;
    n->ev.text = text;
}

void drive_open(struct drive *d, const struct engine_options *o)
{
    struct engine_options mine = *o;
    struct err err = {0};
    *d = (struct drive){.now_ns = 1};
    mine.emit = drive_emit;
    mine.emit_arg = d;
    if (engine_open(&d->e, &mine, &err))
        fail_msg("%s: %s", o->model_dir, err.text);
}

void drive_clear(struct drive *d)
{
    for (size_t i = 0; i < d->n; i++)
        free((char *)(uintptr_t)d->notes[i].ev.text);
    d->n = 0;
}

void drive_close(struct drive *d)
{
    engine_close(d->e);
    drive_clear(d);
    free(d->notes);
    *d = (struct drive){0};
}

struct gen_params drive_greedy(int max_tokens)
{
    return (struct gen_params){.max_tokens = max_tokens,
                               .top_p = 1,
                               .typical_p = 1,
                               .repetition_penalty = 1,
                               .n = 1,
                               .logprobs = -1};
}

void drive_submit(struct drive *d, uint64_t id, const int32_t *ids, size_t n,
                  const struct gen_params *g)
{
    struct engine_request r = {.id = id, .ids = ids, .n_ids = n, .gen = *g};
    struct err err = {0};
    if (engine_submit(d->e, &r, &err))
        fail_msg("request %llu: %s", (unsigned long long)id, err.text);
}

int drive_step(struct drive *d)
{
    d->last_rows = engine_step(d->e, d->now_ns++);
    return d->last_rows;
}

void drive_run(struct drive *d)
{
    int steps = 0;
    while (drive_step(d) > 0)
        assert_true(++steps < 100000);
}

/* ---- reading what happened -------------------------------------------------- */

static bool belongs(const struct event *ev, uint64_t id, int choice)
{
    return ev->request == id && ev->choice == choice && ev->kind != EVENT_START &&
           ev->kind != EVENT_LOAD;
}

struct bytes {
    char *data;
    size_t len;
};

static void add(struct bytes *b, const void *p, size_t n)
{
    b->data = realloc(b->data, b->len + n + 1);
    assert_non_null(b->data);
    memcpy(b->data + b->len, p, n);
    b->len += n;
}

static void add_event(struct bytes *b, const struct event *ev)
{
    int kind = ev->kind, reason = ev->reason;
    add(b, &kind, sizeof kind);
    add(b, &ev->id, sizeof ev->id);
    add(b, &ev->logprob, sizeof ev->logprob);
    for (int i = 0; i < ev->n_top; i++) {
        add(b, &ev->top[i].id, sizeof ev->top[i].id);
        add(b, &ev->top[i].logprob, sizeof ev->top[i].logprob);
    }
    add(b, ev->text, ev->text_len);
    add(b, &reason, sizeof reason);
    add(b, &ev->stop_id, sizeof ev->stop_id);
    add(b, &ev->stop_string, sizeof ev->stop_string);
    add(b, &ev->n_prompt, sizeof ev->n_prompt);
    add(b, &ev->n_generated, sizeof ev->n_generated);
}

char *drive_transcript(const struct drive *d, uint64_t id, int choice, size_t *len)
{
    struct bytes b = {0};
    for (size_t i = 0; i < d->n; i++)
        if (belongs(&d->notes[i].ev, id, choice))
            add_event(&b, &d->notes[i].ev);
    *len = b.len;
    return b.data;
}

size_t drive_tokens(const struct drive *d, uint64_t id, int choice, int32_t *out,
                    size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct event *ev = &d->notes[i].ev;
        if (!belongs(ev, id, choice) || ev->kind != EVENT_TOKEN)
            continue;
        assert_true(n < cap);
        out[n++] = ev->id;
    }
    return n;
}

const char *drive_text(const struct drive *d, uint64_t id, int choice)
{
    static char text[65536];
    size_t len = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct event *ev = &d->notes[i].ev;
        if (!belongs(ev, id, choice))
            continue;
        assert_true(len + ev->text_len < sizeof text);
        memcpy(text + len, ev->text, ev->text_len);
        len += ev->text_len;
    }
    text[len] = '\0';
    return text;
}

const struct event *drive_finish(const struct drive *d, uint64_t id, int choice)
{
    const struct event *found = NULL;
    for (size_t i = 0; i < d->n; i++) {
        const struct event *ev = &d->notes[i].ev;
        if (!belongs(ev, id, choice) || ev->kind != EVENT_FINISH)
            continue;
        if (found)
            fail_msg("request %llu, choice %d: finished twice", (unsigned long long)id,
                     choice);
        found = ev;
    }
    return found;
}

size_t drive_count(const struct drive *d, uint64_t id, enum event_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        n += d->notes[i].ev.request == id && d->notes[i].ev.kind == kind;
    return n;
}

struct engine_lease *drive_state(const struct drive *d, uint64_t id, enum event_kind kind)
{
    struct engine_lease *s = NULL;
    for (size_t i = 0; i < d->n; i++)
        if (d->notes[i].ev.request == id && d->notes[i].ev.kind == kind)
            s = d->notes[i].ev.state;
    return s;
}
