/*
 * `ssmd logits`: the raw predictions for given token ids, for tests and comparisons.
 * Main thread. Adds nothing to the ids, loads no tokenizer, never stops at an end token.
 * The subtle point: a row is written as the engine's own f32, so files compare bit by
 * bit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/arena.h"
#include "server/cmd/cmd.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are written as they are");

struct ints {
    int *list; /* borrows from an arena */
    size_t n;
};

struct logits {
    struct engine *e;
    struct ints ids, chunks; /* chunks.list NULL: the engine's own cut */
    int n_greedy;            /* -1: not asked for */
    FILE *out;               /* NULL: not asked for */
    int32_t best;            /* argmax of the last row */
    bool finite;             /* of the last row */
    struct arena arena;
};

/* ---- arguments -------------------------------------------------------------- */

/* A decimal integer in [min, INT_MAX] that ends at one of `ends`. */
static bool read_int(const char **p, int min, const char *ends, int *out)
{
    char *stop;
    errno = 0;
    if (**p < '0' || **p > '9')
        return false;
    long x = strtol(*p, &stop, 10);
    if (errno || x < min || x > INT_MAX || !strchr(ends, *stop))
        return false;
    *out = (int)x;
    *p = stop;
    return true;
}

static int read_ints(struct arena *a, const char *flag, const char *text, int min,
                     struct ints *out, struct err *err)
{
    size_t cap = 1;
    for (const char *p = text; *p; p++)
        cap += *p == ',';
    out->list = arena_alloc(a, cap * sizeof *out->list);
    if (!out->list)
        return err_set(err, ERR_MEMORY, "out of memory for %zu numbers", cap);
    const char *p = text;
    for (out->n = 0; out->n < cap; out->n++, p++) {
        if (!read_int(&p, min, ",", &out->list[out->n]))
            return err_param(
                err, ERR_ARGUMENT, flag,
                "%s: expected integers from %d separated by commas, found \"%.40s\" "
                "at place %zu",
                flag, min, p, out->n);
    }
    return 0;
}

static int read_split(struct logits *l, const char *text, struct err *err)
{
    int rc = read_ints(&l->arena, "--split", text, 1, &l->chunks, err);
    size_t sum = 0;
    for (size_t i = 0; rc == 0 && i < l->chunks.n; i++)
        sum += (size_t)l->chunks.list[i];
    if (rc == 0 && sum != l->ids.n)
        rc = err_param(err, ERR_ARGUMENT, "--split",
                       "--split: expected a sum of %zu, the number of ids, found %zu",
                       l->ids.n, sum);
    return rc;
}

static int read_arguments(struct logits *l, const char *const *values, struct err *err)
{
    if (!values[LOGITS_IDS])
        return err_param(err, ERR_ARGUMENT, "--ids", "logits: expected --ids 1,2,3");
    if (!values[LOGITS_OUT] && !values[LOGITS_GREEDY])
        return err_param(err, ERR_ARGUMENT, "--out",
                         "logits: expected --out FILE or --greedy N");
    int rc = read_ints(&l->arena, "--ids", values[LOGITS_IDS], 0, &l->ids, err);
    if (rc)
        return rc;
    const char *n = values[LOGITS_GREEDY];
    if (n && !read_int(&n, 0, "", &l->n_greedy))
        return err_param(err, ERR_ARGUMENT, "--greedy",
                         "--greedy: expected a number of tokens, found \"%.40s\"",
                         values[LOGITS_GREEDY]);
    return values[LOGITS_SPLIT] ? read_split(l, values[LOGITS_SPLIT], err) : 0;
}

/* Before anything is written: the last of the following ids is never run. */
static int check_ids(const struct logits *l, struct err *err)
{
    int vocab = engine_info(l->e)->vocab_size;
    size_t context = (size_t)engine_info(l->e)->context_tokens;
    size_t more = l->n_greedy > 0 ? (size_t)l->n_greedy - 1 : 0;
    if (l->ids.n > context || more > context - l->ids.n)
        return err_param(err, ERR_CONTEXT, "--ids",
                         "--ids, --greedy: expected at most %zu tokens of context, "
                         "found %zu",
                         context, l->ids.n + more);
    for (size_t i = 0; i < l->ids.n; i++) {
        if (l->ids.list[i] >= vocab)
            return err_param(
                err, ERR_ARGUMENT, "--ids",
                "--ids: expected ids below %d, the vocabulary's size, found %d at "
                "place %zu",
                vocab, (int)l->ids.list[i], i);
    }
    return 0;
}

/* ---- running ---------------------------------------------------------------- */

static int take_row(void *arg, size_t t, const float *logits)
{
    struct logits *l = arg;
    size_t n = (size_t)engine_info(l->e)->vocab_size;
    if (l->out && t < l->ids.n && fwrite(logits, sizeof *logits, n, l->out) != n)
        return -1;
    size_t best = 0;
    l->finite = isfinite(logits[0]);
    for (size_t i = 1; i < n; i++) { /* ties: the smaller id stays */
        l->finite &= isfinite(logits[i]) != 0;
        if (logits[i] > logits[best])
            best = i;
    }
    l->best = (int32_t)best;
    return 0;
}

static int print_greedy(struct logits *l, struct err *err)
{
    struct buf b = {0};
    int rc = 0;
    buf_putc(&b, '[');
    for (int i = 0; i < l->n_greedy && rc == 0; i++) {
        if (!l->finite)
            rc = err_set(err, ERR_INTERNAL, "a logit is not finite after %zu ids",
                         l->ids.n + (size_t)i);
        buf_printf(&b, "%s%d", i ? "," : "", (int)l->best);
        int32_t id = l->best;
        if (rc == 0 && i + 1 < l->n_greedy)
            rc = engine_score_more(l->e, &id, 1, take_row, l, err);
    }
    buf_puts(&b, "]\n");
    if (rc == 0 && (b.failed || fputs(b.data, stdout) < 0 || fflush(stdout) != 0))
        rc = err_set(err, ERR_IO, "standard output: %s", strerror(errno));
    buf_free(&b);
    return rc;
}

static int score(struct logits *l, struct err *err)
{
    int rc = engine_score(l->e, l->ids.list, l->ids.n, l->chunks.list, l->chunks.n,
                          take_row, l, err);
    if (rc == -1 && l->out && ferror(l->out))
        rc = err_set(err, ERR_IO, "--out: write failed: %s", strerror(errno));
    if (rc == 0 && l->n_greedy >= 0)
        rc = print_greedy(l, err);
    return rc;
}

static int close_out(struct logits *l, const char *path, int rc, struct err *err)
{
    if (l->out && fclose(l->out) != 0 && rc == 0)
        rc = err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
    l->out = NULL;
    return rc;
}

int cmd_logits(const struct config *cfg, const char *const *values)
{
    struct logits l = {.n_greedy = -1};
    struct engine_options o;
    struct err err = {0};
    const char *path = values[LOGITS_OUT];
    int code = CMD_USAGE;
    config_engine_options(cfg, &o);
    o.no_tokenizer = true;
    o.max_seqs = 1;
    o.prefix_cache = false;
    if (read_arguments(&l, values, &err) != 0 || engine_open(&l.e, &o, &err) != 0 ||
        check_ids(&l, &err) != 0)
        goto done;
    l.out = path ? fopen(path, "wb") : NULL;
    if (path && !l.out) {
        err_set(&err, ERR_IO, "--out: %s: %s", path, strerror(errno));
        goto done;
    }
    int rc = close_out(&l, path, score(&l, &err), &err);
    code = rc ? (int)cmd_blame(&err) : CMD_OK;
done:
    if (code != CMD_OK)
        cmd_fail((enum cmd_exit)code, &err);
    engine_close(l.e);
    arena_free(&l.arena);
    return code;
}
