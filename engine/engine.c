/* The main door: opens model, vocabulary, kernels and runner, checks requests, and hands
 * every call to its owner.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/engine_priv.h"
#include "engine/kernel/blas.h"
#include "engine/kernel/cpu.h"
#include "engine/model/export.h"
#include "engine/run/emit.h"
#include "engine/run/object_io.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/depths.h"
#include "engine/tokenizer/describe.h"
#include "engine/tokenizer/match.h"

#include <stdio.h>
#include <string.h>

enum {
    DEFAULT_SEQS = 64,
    DEFAULT_ROWS = 256,
    MAX_SEQS = 4096,
    MAX_ROWS = 8192,
    MAX_THREADS = 256
};

/* ---- opening ---------------------------------------------------------------- */

static const char *const kv_names[] = {
    [ENGINE_KV_F32] = "f32", [ENGINE_KV_F16] = "f16", [ENGINE_KV_Q8] = "q8"};

static int check_options(struct engine_options *o, struct err *err)
{
    o->max_seqs = o->max_seqs ? o->max_seqs : DEFAULT_SEQS;
    o->step_rows = o->step_rows ? o->step_rows : DEFAULT_ROWS;
    o->n_threads = o->n_threads ? o->n_threads : cpu_count();
    if (o->max_seqs < 1 || o->max_seqs > MAX_SEQS)
        return err_param(err, ERR_ARGUMENT, "max_seqs",
                         "max_seqs: expected 1 to %d, found %d", MAX_SEQS, o->max_seqs);
    if (o->step_rows < 1 || o->step_rows > MAX_ROWS)
        return err_param(err, ERR_ARGUMENT, "step_rows",
                         "step_rows: expected 1 to %d, found %d", MAX_ROWS, o->step_rows);
    if (o->n_threads < 1 || o->n_threads > MAX_THREADS)
        return err_param(err, ERR_ARGUMENT, "threads",
                         "threads: expected 1 to %d, found %d", MAX_THREADS,
                         o->n_threads);
    int least = o->max_seqs + PAGE_TOKENS; /* decoding must leave rows for prompts */
    if (o->speculate)
        least += SPECULATE_SEQS * DRAFT_MAX;
    if (o->step_rows < least)
        o->step_rows = least;
    return 0;
}

static const char *weights_name(unsigned mask)
{
    switch (mask) {
    case 1u << DTYPE_F32:
        return "f32";
    case 1u << DTYPE_F16:
        return "f16";
    case 1u << DTYPE_BF16:
        return "bf16";
    case 1u << DTYPE_Q8:
        return "q8";
    case 1u << DTYPE_Q4:
    case 1u << DTYPE_Q4 | 1u << DTYPE_Q8: /* embedding and head are q8 then */
        return "q4";
    default:
        return "mixed";
    }
}

static size_t scratch_bytes(const struct model *m, const struct engine_options *o)
{
    return runner_bytes(m, o->step_rows, o->max_seqs, o->n_threads) +
           (o->speculate ? speculate_bytes(m) : 0);
}

static void fill_info(struct engine *e, const struct engine_options *o,
                      const struct memory_plan *p)
{
    const struct model *m = &e->model;
    struct holding held;
    model_holding(m, &held);
    snprintf(e->hash, sizeof e->hash, "%016llx", (unsigned long long)m->hash);
    e->info = (struct engine_info){
        .arch = m->hp.arch,
        .cpu = e->runner.gemm.k->name,
        .weights = weights_name(held.types),
        .kv = kv_names[o->kv],
        .model_hash = e->hash,
        .object_kind = object_kind_hash(&e->kind),
        .n_threads = o->n_threads,
        .max_seqs = o->max_seqs,
        .step_rows = o->step_rows,
        .vocab_size = m->hp.vocab_size,
        .context_tokens = m->context,
        .longest_tokens = p->longest_tokens,
        .page_tokens = PAGE_TOKENS,
        .bos_id = m->generation.ids.bos,
        .eos_ids = m->generation.ids.eos,
        .n_eos = m->generation.ids.n_eos,
        .n_layers = m->hp.n_layers,
        .hidden_size = m->hp.hidden_size,
        .n_params = m->n_params,
        .weights_bytes = model_weights_bytes(m),
        .slot_bytes = runner_slot_bytes(m),
        .page_bytes = m->page_bytes,
        .scratch_bytes = scratch_bytes(m, o),
        .tokenizer_bytes = e->vocab_bytes,
        .index_bytes = p->index_bytes,
        .planned_bytes =
            model_weights_bytes(m) + e->vocab_bytes + p->bytes + scratch_bytes(m, o),
        .n_slots = p->n_slots,
        .n_checkpoints = p->n_checkpoints,
        .most_checkpoints = p->most_checkpoints,
        .checkpoint_interval = e->runner.reuse.prefix ? e->runner.reuse.interval : 0,
        .checkpoints_short = {p->checkpoints_short.option, p->checkpoints_short.given,
                              p->checkpoints_short.needed},
        .n_pages = e->runner.pages.n,
        .has_tokenizer = e->vocab != NULL,
        .tokenizer = e->vocab_words.data ? e->vocab_words.data : "",
        .defaults = e->info.defaults,
    };
    for (enum dtype t = DTYPE_F32; t < DTYPE_N; t++)
        if (held.bytes[t])
            e->info.formats[e->info.n_formats++] =
                (struct engine_format){quant_name(t), held.bytes[t]};
}

/* The embedding may have more rows than there are tokens. An added token without a row is
 * only logged: Gemma 3 has one, which no text needs, and a prompt that holds it is
 * refused. */
static int check_vocab(const struct engine *e, const char *dir, struct err *err)
{
    const struct vocab *v = e->vocab;
    int rows = e->model.hp.vocab_size, most = v->n_model_ids - 1;
    for (size_t i = 0; i < v->pipe.n_prefix; i++)
        most = v->pipe.prefix[i] > most ? v->pipe.prefix[i] : most;
    for (size_t i = 0; i < v->pipe.n_suffix; i++)
        most = v->pipe.suffix[i] > most ? v->pipe.suffix[i] : most;
    if (most >= rows)
        return err_set(
            err, ERR_FORMAT,
            "%.300s/tokenizer.json: expected ids below vocab_size %d, the rows "
            "of the embedding, found %d",
            dir, rows, most);
    if (v->n_ids > rows)
        log_line(LOG_WARN, "tokens_beyond_model",
                 "\"largest_id\":%d,\"vocab_size\":%d,\"note\":\"prompts with these "
                 "added tokens are refused\"",
                 (int)v->n_ids - 1, rows);
    return 0;
}

static int open_vocab(struct engine *e, const char *dir, struct err *err)
{
    ptrdiff_t before = mem_held();
    int rc = vocab_load(&e->vocab, dir, err);
    e->vocab_bytes = (size_t)(mem_held() - before);
    if (rc == 0)
        rc = check_vocab(e, dir, err);
    if (rc)
        return rc;
    describe_vocab(e->vocab, &e->vocab_words);
    return e->vocab_words.failed ? err_set(err, ERR_MEMORY, "out of memory") : 0;
}

/* A shape file has no sampling values. */
static int open_defaults(struct engine *e, const struct engine_options *o,
                         struct err *err)
{
    e->info.defaults = generation_config_no_defaults;
    return o->model_defaults && !o->shape
               ? generation_config_defaults(&e->info.defaults, o->model_dir, err)
               : 0;
}

static int open_runner(struct engine *e, const struct engine_options *o,
                       const struct kernels *k, struct err *err)
{
    const struct model *m = &e->model;
    size_t scratch = scratch_bytes(m, o);
    struct memory_plan plan;
    struct memory_plan_ask ask = {
        .slot_bytes = runner_slot_bytes(m),
        .page_bytes = m->page_bytes,
        .prefix = o->prefix_cache,
        .checkpoints = o->prefix_cache ? o->checkpoint_bytes : 0,
        .max_seqs = o->max_seqs,
        .context = m->context,
        .budget = o->memory_bytes,
        .fixed = model_weights_bytes(m) + e->vocab_bytes + scratch,
        .later = scratch,
        .reserved = o->reserved_bytes,
    };
    int rc = memory_plan_make(&plan, &ask, memory_plan_available(), err);
    if (rc == 0 && o->pin)
        rc = pool_pin(e->pool, err);
    if (rc)
        return rc;
    struct gemm gemm = {k, e->pool, o->math == ENGINE_MATH_BLAS, NULL};
    const struct token_ids *ids = &m->generation.ids;
    struct seq_vocab vocab = {e->vocab, ids->eos, ids->n_eos};
    struct runner_options ro = {.plan = plan,
                                .checkpoint_bytes = o->checkpoint_bytes,
                                .checkpoint_interval = o->checkpoint_interval,
                                .step_rows = o->step_rows,
                                .n_threads = o->n_threads,
                                .max_waiting = o->max_waiting,
                                .wide_wait_ns = o->wide_wait_ns,
                                .speculate = o->speculate,
                                .emit = o->emit,
                                .emit_arg = o->emit_arg};
    rc = runner_open(&e->runner, m, &gemm, &vocab, &ro, err);
    if (rc == 0) {
        e->kind = object_io_kind(m, e->vocab ? e->vocab->hash : 0);
        fill_info(e, o, &plan);
    }
    return rc;
}

int engine_open(struct engine **out, const struct engine_options *given, struct err *err)
{
    struct engine_options o = *given;
    const struct kernels *k = NULL;
    int rc = check_options(&o, err);
    if (rc == 0)
        rc = cpu_kernels(&k, o.cpu, err);
    if (rc == 0 && o.math == ENGINE_MATH_BLAS)
        rc = blas_open(o.n_threads, err);
    if (rc)
        return rc;
    struct engine *e = mem_zalloc(1, sizeof *e);
    if (!e)
        return err_set(err, ERR_MEMORY, "out of memory for the engine");
    rc = pool_open(&e->pool, o.n_threads, err);
    const struct model_options mo = {
        .dir = o.model_dir,
        .shape = o.shape,
        .context = o.context_tokens,
        .blas = o.math == ENGINE_MATH_BLAS,
        .weights = o.weights,
        .kv = o.kv,
        .pool = e->pool,
    };
    if (rc == 0)
        rc = model_open(&e->model, &mo, err);
    if (rc == 0 && !o.no_tokenizer && !o.shape)
        rc = open_vocab(e, o.model_dir, err);
    if (rc == 0)
        rc = open_defaults(e, &o, err);
    if (rc == 0)
        rc = open_runner(e, &o, k, err);
    if (rc) {
        engine_close(e);
        return rc;
    }
    mem_trim(); /* what reading the files took */
    *out = e;
    return 0;
}

void engine_close(struct engine *e)
{
    if (!e)
        return;
    score_end(&e->score, &e->runner);
    runner_close(&e->runner);
    peak_close(&e->peak);
    pool_close(e->pool);
    vocab_free(e->vocab);
    buf_free(&e->vocab_words);
    model_close(&e->model);
    mem_free(e);
}

const struct engine_info *engine_info(const struct engine *e)
{
    return &e->info;
}

/* ---- text ------------------------------------------------------------------- */

static int no_tokenizer(struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "this model was opened without a tokenizer");
}

int engine_encode(const struct engine *e, const struct engine_text *text, unsigned flags,
                  struct ids *out, struct err *err)
{
    return e->vocab ? bpe_encode(e->vocab, text, flags, out, err) : no_tokenizer(err);
}

bool engine_depths(const struct engine *e, const struct engine_text *text,
                   const struct ids *ids, const size_t *offsets, size_t n,
                   int32_t *depths)
{
    if (e->vocab)
        return depths_find(e->vocab, text, ids, offsets, n, depths);
    memset(depths, 0, n * sizeof *depths);
    return true;
}

int engine_decode(const struct engine *e, const int32_t *ids, size_t n, bool skip_special,
                  struct buf *out, struct err *err)
{
    return e->vocab ? bpe_decode(e->vocab, ids, n, skip_special, out, err)
                    : no_tokenizer(err);
}

int engine_match(const struct engine *e, const struct history *h,
                 const struct engine_prompt *p, size_t *at, struct err *err)
{
    *at = 0;
    if (!p->text)
        return match_ids(h, p->ids, p->len, at, err);
    return e->vocab ? match_text(e->vocab, h, p->text, p->len, at, err)
                    : no_tokenizer(err);
}

const char *engine_piece(const struct engine *e, int32_t id, size_t *len)
{
    return e->vocab ? vocab_token_bytes(e->vocab, id, len) : NULL;
}

/* ---- requests --------------------------------------------------------------- */

static int check_ids(const struct engine *e, const int32_t *ids, size_t n,
                     const char *field, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= e->info.vocab_size)
            return err_param(err, ERR_ARGUMENT, field,
                             "%s: expected ids from 0 to %d, found %d at %zu", field,
                             e->info.vocab_size - 1, (int)ids[i], i);
    return 0;
}

static int check_length(const struct engine *e, const struct engine_request *r,
                        struct err *err)
{
    const struct gen_params *g = &r->gen;
    size_t context = (size_t)e->info.context_tokens;
    size_t n = r->n_ids + (size_t)r->synthetic_tokens;
    if (r->n_ids == 0)
        return err_param(err, ERR_ARGUMENT, "prompt",
                         "prompt: expected at least one token");
    if (r->synthetic_tokens < 0)
        return err_set(err, ERR_ARGUMENT, "expected synthetic_tokens >= 0, found %d",
                       r->synthetic_tokens);
    if (r->persisted_tokens < 0 || (size_t)r->persisted_tokens > r->n_ids ||
        (r->persisted_tokens && (r->state_tokens || r->synthetic_tokens)))
        return err_set(err, ERR_ARGUMENT,
                       "expected persisted_tokens from 0 to %zu, alone", r->n_ids);
    if (r->state_tokens < 0 || (size_t)r->state_tokens > r->n_ids ||
        (r->state_tokens && (r->synthetic_tokens || g->prompt_logprobs)) ||
        (r->save_state && g->n != 1))
        return err_set(err, ERR_ARGUMENT,
                       "expected state_tokens from 0 to %zu, and one choice to save",
                       r->n_ids);
    if (g->max_tokens < 0 || g->n < 1 || g->logprobs > ENGINE_MAX_TOP ||
        g->n_stops > ENGINE_MAX_STOPS)
        return err_set(err, ERR_ARGUMENT,
                       "expected max_tokens >= 0, n >= 1, logprobs <= %d, "
                       "at most %d stop strings",
                       ENGINE_MAX_TOP, ENGINE_MAX_STOPS);
    if (n > context || (size_t)g->max_tokens > context - n)
        return err_param(
            err, ERR_CONTEXT, "prompt",
            "this model's context is %zu tokens, but the request needs %zu (%zu in "
            "the prompt, %d to generate)",
            context, n + (size_t)g->max_tokens, n, g->max_tokens);
    return 0;
}

static int check_prefix(const struct engine_request *r, struct err *err)
{
    size_t tenant = r->tenant ? strlen(r->tenant) : 0;
    size_t salt = r->cache_salt ? strlen(r->cache_salt) : 0;
    int32_t last = 0;
    if (tenant + 1 + salt > RADIX_KEY_BYTES)
        return err_param(err, ERR_ARGUMENT, "cache_salt",
                         "cache_salt: expected at most %d bytes with the tenant's name, "
                         "found %zu",
                         RADIX_KEY_BYTES - 1, tenant + salt);
    for (size_t i = 0; i < r->n_turns; last = r->turns[i++])
        if (r->turns[i] <= last || (size_t)r->turns[i] > r->n_ids)
            return err_set(err, ERR_ARGUMENT,
                           "turns: expected ascending depths from 1 to %zu, found %d",
                           r->n_ids, (int)r->turns[i]);
    return 0;
}

static int check_budget(const struct engine *e, const struct engine_request *r,
                        struct err *err)
{
    if (r->gen.n > e->info.n_slots)
        return err_param(
            err, ERR_BUDGET, "n",
            "this server holds %d sequences at once, but the request needs %d",
            e->info.n_slots, r->gen.n);
    struct request shape = {.gen = r->gen,
                            .n_prompt = r->synthetic_tokens + (int)r->n_ids};
    int64_t need = e->info.page_bytes ? request_pages(&shape) : 0;
    if (need > e->info.n_pages)
        return err_param(
            err, ERR_BUDGET, "max_tokens",
            "this server's memory holds %lld tokens of attention state, but the "
            "request may need %lld",
            (long long)e->info.n_pages * PAGE_TOKENS, (long long)need * PAGE_TOKENS);
    return 0;
}

int engine_check(const struct engine *e, const struct engine_request *r, struct err *err)
{
    int rc = check_length(e, r, err);
    if (rc == 0)
        rc = check_ids(e, r->ids, r->n_ids, "prompt", err);
    if (rc == 0)
        rc = check_ids(e, r->gen.stop_ids, r->gen.n_stop_ids, "stop_token_ids", err);
    for (size_t i = 0; rc == 0 && i < r->gen.n_bias; i++)
        rc = check_ids(e, &r->gen.bias[i].id, 1, "logit_bias", err);
    if (rc == 0)
        rc = check_prefix(r, err);
    return rc ? rc : check_budget(e, r, err);
}

int engine_submit(struct engine *e, const struct engine_request *r, struct err *err)
{
    struct request *q = NULL;
    int rc = engine_check(e, r, err);
    if (rc == 0)
        rc = request_new(&q, r, &e->runner.vocab, err);
    if (rc)
        return rc;
    score_end(&e->score, &e->runner); /* its slot and pages are requests' now */
    rc = sched_push(&e->runner.sched, q, err);
    if (rc)
        request_free(q);
    struct request *over = rc ? NULL : sched_excess(&e->runner.sched, q);
    if (over)
        emit_busy(&e->runner, over);
    return rc;
}

void engine_cancel(struct engine *e, uint64_t id, enum finish_reason why)
{
    struct request *q = sched_find(&e->runner.sched, id);
    int n = q ? q->gen.n : 0;
    for (int i = 0, left = q ? q->n_live : 0; i < n && left > 0; i++) {
        if (q->seqs[i].state == SEQ_DONE)
            continue;
        left--; /* the last one frees the request */
        emit_finish(&e->runner, &q->seqs[i], why);
    }
}

void engine_pause(struct engine *e, uint64_t id, bool paused)
{
    struct request *q = sched_find(&e->runner.sched, id);
    if (q)
        q->paused = paused;
}

int engine_step(struct engine *e, uint64_t now_ns)
{
    mem_guard(true);
    int rows = runner_step(&e->runner, now_ns);
    mem_guard(false);
    return rows;
}

void engine_stats(const struct engine *e, struct engine_stats *out)
{
    const struct runner *r = &e->runner;
    *out = (struct engine_stats){.running = r->sched.n_running,
                                 .waiting = r->sched.n_waiting,
                                 .slots_used = slots_used(&r->slots) - r->prefix.n,
                                 .pages_used = pages_used(&r->pages),
                                 .steps = r->n_steps,
                                 .last_rows = r->last_rows,
                                 .tokens_proposed = r->speculate.n_proposed,
                                 .tokens_accepted = r->speculate.n_accepted};
    if (!r->reuse.prefix)
        return;
    out->checkpoints = r->prefix.n;
    out->checkpoint_bytes = prefix_used_bytes(&r->prefix);
    out->checkpoints_created = r->prefix.counts.created;
    out->checkpoints_hit = r->prefix.counts.hits;
    out->checkpoints_evicted = r->prefix.counts.evicted;
    memcpy(out->tokens_missed, r->reuse.missed, sizeof out->tokens_missed);
}

/* ---- scoring ---------------------------------------------------------------- */

int engine_score(struct engine *e, const int32_t *ids, size_t n, const int *chunks,
                 size_t n_chunks, engine_row_fn *row, void *arg, struct err *err)
{
    struct score_run j = {ids, n, chunks, n_chunks, row, arg};
    int rc = score_begin(&e->score, &e->runner, err);
    return rc ? rc : score_run(&e->score, &e->runner, &j, err);
}

int engine_score_more(struct engine *e, const int32_t *ids, size_t n, engine_row_fn *row,
                      void *arg, struct err *err)
{
    struct score_run j = {ids, n, NULL, 0, row, arg};
    if (!e->score.open)
        return err_set(err, ERR_ARGUMENT, "engine_score_more without engine_score");
    return score_run(&e->score, &e->runner, &j, err);
}

/* ---- converting ------------------------------------------------------------- */

int engine_convert(const char *model_dir, enum engine_weights weights, const char *path,
                   struct engine_converted *out, struct err *err)
{
    struct model_options o = {.dir = model_dir, .weights = weights};
    struct model m;
    int rc = pool_open(&o.pool, cpu_count(), err);
    if (rc)
        return rc;
    rc = model_open(&m, &o, err);
    pool_close(o.pool);
    if (rc)
        return rc;
    out->n_params = m.n_params;
    rc = export_model(&m, path, &out->bytes, err);
    model_close(&m);
    return rc;
}
