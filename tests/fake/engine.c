/*
 * A stand-in for the engine, for tests of the server that need no model.
 *
 * Tokens are bytes: id = byte value, 256 is the end token. The answer to a prompt is a
 * run of letters that depends only on the prompt, the choice and the position, so every
 * test knows what must come. FAKE_STEP_US is the time one step takes, FAKE_LOAD_MS the
 * time opening takes, FAKE_LOAD_FAIL makes opening fail, FAKE_TOKEN_BYTES the length of a
 * token's text (a state's text has one byte a token all the same), FAKE_POISON a prompt
 * byte whose request ends with FINISH_ERROR, FAKE_ENCODE_MS the time encoding takes,
 * FAKE_CHECK_MS the time that engine_check takes, which blocks the event loop;
 * FAKE_MEM_FAIL makes one of the process's next n allocations fail at each encoding,
 * another one each time; FAKE_SCRIPT a file of answers (script.h), each of which ends with
 * the end token. Steps allocate nothing: the guard is on, so a callback that allocates
 * dies here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/engine.h"
#include "engine/measure.h"

#include "engine/base/list.h"
#include "engine/base/mem.h"
#include "tests/fake/object.h"
#include "tests/fake/script.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VOCAB = 257, EOS = 256, MAX_TEXT = 65536 };

struct fake {
    struct list at; /* in waiting or running */
    struct engine_request r;
    const struct script_answer *says; /* NULL: letters */
    int32_t *ids;                     /* owns */
    int32_t *stop_ids;                /* owns */
    uint64_t hash, submit_ns, admit_ns, prefill_ns, first_ns;
    size_t n_read; /* prompt tokens already read */
    int n_out;     /* tokens of each choice */
    bool paused;
    struct engine_lease *load, *save; /* own, until they are leased */
    struct engine_lease *loading;     /* borrows: is out */
};

struct engine {
    struct engine_options o;
    struct engine_info info;
    struct script script; /* owns; zeroed: none */
    struct list waiting, running;
    struct list leased; /* of struct engine_lease */
    int n_waiting, n_running, slots_used, pages_used, last_rows;
    long step_us;
    size_t token_bytes;
    uint64_t steps, now_ns;
    char text[MAX_TEXT];
    char pieces[VOCAB];
};

static long knob(const char *name, long absent)
{
    const char *s = getenv(name);
    return s && *s ? atol(s) : absent;
}

static void sleep_us(long us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    while (us > 0 && nanosleep(&t, &t) && errno == EINTR)
        continue; /* a signal is no reason to be back early */
}

static void fill_info(struct engine *e)
{
    struct engine_info *i = &e->info;
    *i = (struct engine_info){.arch = "fake",
                              .cpu = "c",
                              .weights = "f32",
                              .model_hash = "0123456789abcdef",
                              .n_threads = 1,
                              .max_seqs = e->o.max_seqs ? e->o.max_seqs : 64,
                              .step_rows = e->o.step_rows ? e->o.step_rows : 256,
                              .vocab_size = VOCAB + (int)e->script.n_specials,
                              .context_tokens =
                                  e->o.context_tokens ? e->o.context_tokens : 4096,
                              .page_tokens = PAGE_TOKENS,
                              .bos_id = -1,
                              .n_layers = 1,
                              .hidden_size = 1,
                              .n_params = VOCAB,
                              .weights_bytes = 1024,
                              .slot_bytes = 1024,
                              .page_bytes = 1024,
                              .scratch_bytes = 1024,
                              .has_tokenizer = !e->o.no_tokenizer};
    i->n_slots = i->max_seqs;
    i->n_pages = e->o.memory_bytes ? (int)(e->o.memory_bytes / i->page_bytes)
                                   : i->max_seqs * (i->context_tokens / PAGE_TOKENS);
    i->longest_tokens = i->n_pages < i->context_tokens / PAGE_TOKENS
                            ? i->n_pages * PAGE_TOKENS
                            : i->context_tokens;
}

int engine_open(struct engine **out, const struct engine_options *o, struct err *err)
{
    sleep_us(1000 * knob("FAKE_LOAD_MS", 0));
    if (knob("FAKE_LOAD_FAIL", 0))
        return err_set(err, ERR_FORMAT, "%s/config.json: this model cannot be read",
                       o->model_dir);
    struct engine *e = mem_zalloc(1, sizeof *e);
    if (!e)
        return err_set(err, ERR_MEMORY, "out of memory");
    e->o = *o;
    e->step_us = knob("FAKE_STEP_US", 0);
    e->token_bytes = (size_t)knob("FAKE_TOKEN_BYTES", 1);
    list_init(&e->waiting);
    list_init(&e->running);
    list_init(&e->leased);
    for (int c = 0; c < VOCAB; c++)
        e->pieces[c] = (char)c;
    if (getenv("FAKE_SCRIPT") &&
        script_open(&e->script, getenv("FAKE_SCRIPT"), EOS, err)) {
        engine_close(e);
        return -(int)err->code;
    }
    fill_info(e);
    fake_kind_init(e->info.vocab_size);
    e->info.object_kind = fake_kind_hash();
    *out = e;
    return 0;
}

static void fake_free(struct fake *f)
{
    mem_free(f->ids);
    mem_free(f->stop_ids);
    fake_state_free(f->load);
    fake_state_free(f->save);
    mem_free(f);
}

void engine_close(struct engine *e)
{
    if (!e)
        return;
    struct list *n;
    while ((n = list_pop(&e->waiting)) || (n = list_pop(&e->running)))
        fake_free(LIST_OF(n, struct fake, at));
    while ((n = list_pop(&e->leased)))
        fake_state_free(LIST_OF(n, struct engine_lease, at));
    script_close(&e->script);
    mem_free(e);
}

const struct engine_info *engine_info(const struct engine *e)
{
    return &e->info;
}

/* ---- text ------------------------------------------------------------------- */

int engine_encode(const struct engine *e, const struct engine_text *text, unsigned flags,
                  struct ids *out, struct err *err)
{
    (void)flags;
    static _Atomic long n_encoded;
    sleep_us(1000 * knob("FAKE_ENCODE_MS", 0));
    assert(e->info.vocab_size > 0); /* the engine is open, and stays so */
    long span = knob("FAKE_MEM_FAIL", 0);
    if (span)
        mem_fail_after(1 + n_encoded++ % span);
    if (!ids_reserve(out, text->len))
        return err_set(err, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < text->len; i++)
        ids_push(out, (unsigned char)text->text[i]);
    return 0;
}

bool engine_depths(const struct engine *e, const struct engine_text *text,
                   const struct ids *ids, const size_t *offsets, size_t n,
                   int32_t *depths)
{
    (void)e, (void)text;
    for (size_t i = 0; i < n; i++)
        depths[i] = (int32_t)(offsets[i] < ids->n ? offsets[i] : ids->n);
    return true;
}

int engine_decode(const struct engine *e, const int32_t *ids, size_t n, bool skip_special,
                  struct buf *out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *s = engine_piece(e, ids[i], &len);
        if (!s)
            return err_param(err, ERR_ARGUMENT, "tokens",
                             "id %d is outside the vocabulary of %d", (int)ids[i],
                             e->info.vocab_size);
        if (ids[i] < EOS || !skip_special)
            buf_put(out, s, len);
    }
    return out->failed ? err_set(err, ERR_MEMORY, "out of memory") : 0;
}

int engine_match(const struct engine *e, const struct history *h,
                 const struct engine_prompt *p, size_t *at, struct err *err)
{
    *at = 0;
    for (size_t i = 0; i < h->n_ids; i++) {
        if (p->text && h->ids[i] >= EOS) {
            size_t len = 0;
            const char *s = engine_piece(e, h->ids[i], &len);
            if (len <= p->len - *at && memcmp(p->text + *at, s, len) == 0)
                *at += len;
            continue;
        }
        if (*at == p->len ||
            (p->text ? (unsigned char)p->text[*at] : p->ids[*at]) != h->ids[i])
            return err_set(err, ERR_CONFLICT, "they part at %zu", *at);
        ++*at;
    }
    return 0;
}

const char *engine_piece(const struct engine *e, int32_t id, size_t *len)
{
    if (id < 0 || id >= e->info.vocab_size)
        return NULL;
    *len = id < EOS;
    if (id <= EOS)
        return &e->pieces[id];
    *len = e->script.specials[id - VOCAB].len;
    return e->script.specials[id - VOCAB].text;
}

/* ---- requests --------------------------------------------------------------- */

static int pages_of(const struct engine_request *r)
{
    size_t tokens = r->n_ids + (size_t)r->gen.max_tokens;
    return (int)((tokens + PAGE_TOKENS - 1) / PAGE_TOKENS) * r->gen.n;
}

int engine_check(const struct engine *e, const struct engine_request *r, struct err *err)
{
    sleep_us(1000 * knob("FAKE_CHECK_MS", 0));
    for (size_t i = 0; i < r->n_ids; i++)
        if (r->ids[i] < 0 || r->ids[i] >= e->info.vocab_size)
            return err_param(err, ERR_ARGUMENT, "prompt",
                             "token id %d is outside the vocabulary of %d",
                             (int)r->ids[i], e->info.vocab_size);
    if (r->n_ids + (size_t)r->gen.max_tokens > (size_t)e->info.context_tokens)
        return err_param(
            err, ERR_CONTEXT, "prompt",
            "prompt of %zu tokens + max_tokens %d is beyond the context of %d", r->n_ids,
            r->gen.max_tokens, e->info.context_tokens);
    if (pages_of(r) > e->info.n_pages || r->gen.n > e->info.n_slots)
        return err_param(err, ERR_BUDGET, "max_tokens",
                         "the request may need %d pages, the whole budget is %d",
                         pages_of(r), e->info.n_pages);
    return 0;
}

static void *copy(const void *p, size_t bytes)
{
    void *q = mem_alloc(bytes);
    if (q && bytes)
        memcpy(q, p, bytes);
    return q;
}

int engine_submit(struct engine *e, const struct engine_request *r, struct err *err)
{
    int rc = engine_check(e, r, err);
    if (rc)
        return rc;
    struct fake *f = mem_zalloc(1, sizeof *f);
    if (!f)
        return err_set(err, ERR_MEMORY, "out of memory");
    f->r = *r;
    f->ids = copy(r->ids, r->n_ids * sizeof *r->ids);
    f->stop_ids = copy(r->gen.stop_ids, r->gen.n_stop_ids * sizeof *r->gen.stop_ids);
    if (r->state_tokens)
        f->load = fake_state_new(r->n_ids);
    if (r->save_state)
        f->save = fake_state_new(r->n_ids + (size_t)r->gen.max_tokens);
    if (!f->ids || !f->stop_ids || (r->state_tokens && !f->load) ||
        (r->save_state && !f->save)) {
        fake_free(f);
        return err_set(err, ERR_MEMORY, "out of memory");
    }
    f->says = script_find(&e->script, r->ids, r->n_ids);
    f->submit_ns = e->now_ns;
    f->hash = 5;
    for (size_t i = 0; i < r->n_ids; i++)
        f->hash = f->hash * 31 + (uint64_t)r->ids[i];
    list_push(&e->waiting, &f->at);
    e->n_waiting++;
    return 0;
}

static void emit(struct engine *e, struct event *ev)
{
    ev->now_ns = e->now_ns;
    e->o.emit(e->o.emit_arg, ev);
}

static int32_t token_of(const struct fake *f, int choice, int i)
{
    if (f->says)
        return f->says->ids
            .data[(size_t)i < f->says->ids.n ? (size_t)i : f->says->ids.n - 1];
    uint64_t h =
        f->hash + 7 * (uint64_t)(f->r.gen.first_choice + choice) + 11 * (uint64_t)i;
    return 'a' + (int32_t)(h % 26);
}

static void lease(struct engine *e, struct fake *f, struct engine_lease *s, int n_tokens,
                  int depth)
{
    for (int i = 0; i < n_tokens; i++)
        s->said.ids[i] =
            i < (int)f->r.n_ids ? f->ids[i] : token_of(f, 0, i - (int)f->r.n_ids);
    s->said.n_ids = (size_t)n_tokens;
    s->depth = depth;
    s->n_pages = (depth + PAGE_TOKENS - 1) / PAGE_TOKENS;
    list_push(&e->leased, &s->at);
}

static struct engine_lease *save_at_end(struct engine *e, struct fake *f,
                                        enum finish_reason why)
{
    struct engine_lease *s = f->save;
    int n = (int)f->r.n_ids + f->n_out;
    if (!s || (why != FINISH_STOP && why != FINISH_LENGTH))
        return NULL;
    f->save = NULL;
    lease(e, f, s, n, n - (f->n_out > 0));
    e->slots_used++;
    return s;
}

static void start(struct engine *e, struct fake *f)
{
    struct event ev = {.kind = EVENT_START,
                       .request = f->r.id,
                       .n_cached = f->r.state_tokens,
                       .n_found = f->r.state_tokens,
                       .found_bytes = f->r.state_bytes};
    f->n_read = (size_t)f->r.state_tokens;
    f->loading = NULL;
    emit(e, &ev);
}

static void finish(struct engine *e, struct fake *f, enum finish_reason why)
{
    if (f->loading) { /* the slot stays with the lease */
        f->loading->q = NULL;
        e->slots_used++;
    }
    for (int i = 0; i < f->r.gen.n; i++) {
        struct event ev = {.kind = EVENT_FINISH,
                           .request = f->r.id,
                           .choice = f->r.gen.first_choice + i,
                           .text = "",
                           .reason = why,
                           .stop_id = why == FINISH_STOP ? EOS : -1,
                           .stop_string = -1,
                           .n_prompt = (int)f->r.n_ids,
                           .n_generated = f->n_out,
                           .n_cached = f->r.state_tokens,
                           .state = save_at_end(e, f, why),
                           .submit_ns = f->submit_ns,
                           .admit_ns = f->admit_ns,
                           .prefill_ns = f->prefill_ns,
                           .first_ns = f->first_ns};
        emit(e, &ev);
    }
    if (f->admit_ns) {
        e->n_running--;
        e->slots_used -= f->r.gen.n;
        e->pages_used -= pages_of(&f->r);
    } else {
        e->n_waiting--;
    }
    list_remove(&f->at);
    fake_free(f);
}

void engine_lease_release(struct engine *e, struct engine_lease *s, bool good)
{
    struct fake *f = (struct fake *)(void *)s->q;
    list_remove(&s->at);
    if (f && good)
        start(e, f);
    else if (f)
        finish(e, f, FINISH_ERROR);
    if (!f || !good)
        e->slots_used--;
    fake_state_free(s);
}

static struct fake *find(struct list *in, uint64_t id)
{
    for (struct list *n = in->next; n != in; n = n->next) {
        struct fake *f = LIST_OF(n, struct fake, at);
        if (f->r.id == id)
            return f;
    }
    return NULL;
}

static struct fake *find_any(struct engine *e, uint64_t id)
{
    struct fake *f = find(&e->running, id);
    return f ? f : find(&e->waiting, id);
}

void engine_cancel(struct engine *e, uint64_t id, enum finish_reason why)
{
    struct fake *f = find_any(e, id);
    if (f)
        finish(e, f, why);
}

void engine_pause(struct engine *e, uint64_t id, bool paused)
{
    struct fake *f = find_any(e, id);
    if (f)
        f->paused = paused;
}

static void admit(struct engine *e)
{
    while (!list_empty(&e->waiting)) {
        struct fake *f = LIST_OF(e->waiting.next, struct fake, at);
        if (e->slots_used + f->r.gen.n > e->info.n_slots ||
            e->pages_used + pages_of(&f->r) > e->info.n_pages)
            return;
        list_remove(&f->at);
        list_push(&e->running, &f->at);
        f->admit_ns = e->now_ns;
        e->n_waiting--;
        e->n_running++;
        e->slots_used += f->r.gen.n;
        e->pages_used += pages_of(&f->r);
        if (!f->load) {
            start(e, f);
            continue;
        }
        f->loading = f->load;
        f->load = NULL;
        f->loading->q = (struct request *)(void *)f;
        lease(e, f, f->loading, (int)f->r.n_ids, f->r.state_tokens);
        struct event ev = {.kind = EVENT_LOAD, .request = f->r.id, .state = f->loading};
        emit(e, &ev);
    }
}

static void fill_top(struct event *ev, int n)
{
    ev->n_top = n > 0 ? n : 0;
    for (int i = 0; i < ev->n_top; i++)
        ev->top[i] = (struct top_logprob){.id = 'a' + i, .logprob = -1.0f - (float)i};
}

static void prompt_events(struct engine *e, struct fake *f, size_t from, size_t to)
{
    for (size_t i = from; f->r.gen.prompt_logprobs && i < to; i++) {
        struct event ev = {.kind = EVENT_PROMPT,
                           .request = f->r.id,
                           .choice = f->r.gen.first_choice,
                           .id = f->ids[i],
                           .logprob = i ? -2.0f : NAN};
        fill_top(&ev, i ? f->r.gen.logprobs : 0);
        emit(e, &ev);
    }
}

/* An answer of the script ends with the end token. */
static bool stops(const struct fake *f, int32_t id)
{
    if (id == EOS)
        return true;
    for (size_t i = 0; i < f->r.gen.n_stop_ids; i++)
        if (f->stop_ids[i] == id)
            return true;
    return false;
}

static void emit_token(struct engine *e, const struct fake *f, int choice, int32_t id)
{
    struct event ev = {.kind = EVENT_TOKEN,
                       .request = f->r.id,
                       .choice = f->r.gen.first_choice + choice,
                       .id = id,
                       .special = id > EOS,
                       .logprob = -0.5f,
                       .text = e->text,
                       .text_len = e->token_bytes,
                       .stop_id = -1,
                       .stop_string = -1};
    if (f->says)
        ev.text = script_text(f->says, (size_t)f->n_out, &ev.text_len);
    else
        memset(e->text, id, e->token_bytes);
    fill_top(&ev, f->r.gen.logprobs);
    emit(e, &ev);
}

/* One token of every choice; the request may be gone afterwards. */
static int decode(struct engine *e, struct fake *f)
{
    int rows = f->r.gen.n;
    bool stop = false;
    for (int i = 0; i < rows && f->n_out < f->r.gen.max_tokens; i++) {
        int32_t id = token_of(f, i, f->n_out);
        if (id != EOS)
            emit_token(e, f, i, id);
        stop = stop || stops(f, id);
    }
    if (!f->first_ns)
        f->first_ns = e->now_ns;
    if (f->n_out < f->r.gen.max_tokens)
        f->n_out++;
    if (f->ids[0] == knob("FAKE_POISON", -1))
        finish(e, f, FINISH_ERROR);
    else if (stop)
        finish(e, f, FINISH_STOP);
    else if (f->n_out >= f->r.gen.max_tokens)
        finish(e, f, FINISH_LENGTH);
    return rows;
}

static int advance(struct engine *e, struct fake *f, int budget)
{
    if (f->n_read == f->r.n_ids)
        return decode(e, f);
    size_t n = f->r.n_ids - f->n_read;
    if (n > (size_t)budget)
        n = (size_t)budget;
    prompt_events(e, f, f->n_read, f->n_read + n);
    f->n_read += n;
    if (f->n_read == f->r.n_ids) {
        f->prefill_ns = e->now_ns;
        if (f->r.gen.max_tokens == 0)
            finish(e, f, FINISH_LENGTH);
    }
    return (int)n;
}

int engine_step(struct engine *e, uint64_t now_ns)
{
    e->now_ns = now_ns;
    mem_guard(true);
    admit(e);
    int rows = 0;
    struct list *next;
    for (struct list *n = e->running.next; n != &e->running; n = next) {
        next = n->next;
        struct fake *f = LIST_OF(n, struct fake, at);
        if (!f->paused && !f->loading && rows < e->info.step_rows)
            rows += advance(e, f, e->info.step_rows - rows);
    }
    mem_guard(false);
    if (rows)
        sleep_us(e->step_us);
    e->steps++;
    e->last_rows = rows;
    return rows;
}

void engine_stats(const struct engine *e, struct engine_stats *out)
{
    *out = (struct engine_stats){.running = e->n_running,
                                 .waiting = e->n_waiting,
                                 .slots_used = e->slots_used,
                                 .pages_used = e->pages_used,
                                 .steps = e->steps,
                                 .last_rows = e->last_rows};
}

/* ---- scoring: not served over HTTP ------------------------------------------ */

int engine_score(struct engine *e, const int32_t *ids, size_t n, const int *chunks,
                 size_t n_chunks, engine_row_fn *row, void *arg, struct err *err)
{
    (void)e, (void)ids, (void)n, (void)chunks, (void)n_chunks, (void)row, (void)arg;
    return err_set(err, ERR_UNSUPPORTED, "the stand-in engine does not score");
}

int engine_score_more(struct engine *e, const int32_t *ids, size_t n, engine_row_fn *row,
                      void *arg, struct err *err)
{
    (void)e, (void)ids, (void)n, (void)row, (void)arg;
    return err_set(err, ERR_UNSUPPORTED, "the stand-in engine does not score");
}

/* ---- measuring: there is nothing to measure --------------------------------- */

void engine_cost(const struct engine *e, const struct engine_batch *b,
                 struct engine_cost *out)
{
    (void)e;
    (void)b;
    *out = (struct engine_cost){0};
}

int engine_peak(struct engine *e, enum engine_peak what, double *amount, struct err *err)
{
    (void)e;
    (void)what;
    (void)err;
    *amount = 1;
    return 0;
}

void engine_trim(struct engine *e)
{
    (void)e;
}

size_t engine_available(void)
{
    return 0;
}

int engine_sizes(const struct engine_options *o, struct engine_sizes *out,
                 struct err *err)
{
    (void)o;
    *out = (struct engine_sizes){0};
    return err_set(err, ERR_UNSUPPORTED, "a stand-in has no sizes");
}

/* ---- converting ------------------------------------------------------------- */

int engine_convert(const char *model_dir, enum engine_weights weights, const char *path,
                   struct engine_converted *out, struct err *err)
{
    (void)model_dir, (void)weights, (void)path, (void)out;
    return err_set(err, ERR_UNSUPPORTED, "the stand-in engine has no weights");
}
