/*
 * `ssmd perplexity`: how well the model predicts a text. Main thread.
 *
 * The text is encoded whole, without special tokens added, and cut into windows of at
 * most `context` ids. The begin id, if the model has one, stands before each window and
 * is not scored; without it a window's first id is not scored. Nothing is carried over.
 * The last id of a window is a target only, so bos + a full window still is `context`
 * inputs. Nats are summed in f64. Reads plain text only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "server/cmd/cmd.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct scoring {
    struct engine *e;
    struct ids ids;         /* owns */
    const int32_t *targets; /* of the running window; borrows from ids */
    size_t done;            /* ids of finished windows, for the bar */
    size_t tokens;          /* scored */
    double nats;
    bool bar; /* stderr is a terminal */
};

/* ---- the text --------------------------------------------------------------- */

static int read_text(struct buf *out, const char *path, struct err *err)
{
    char piece[65536];
    size_t n;
    FILE *f = fopen(path, "rb");
    if (!f)
        return err_set(err, ERR_ARGUMENT, "%s: %s", path, strerror(errno));
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_put(out, piece, n);
    int rc = 0;
    if (ferror(f))
        rc = err_set(err, ERR_ARGUMENT, "%s: %s", path, strerror(errno));
    else if (out->failed)
        rc =
            err_set(err, ERR_MEMORY, "%s: out of memory after %zu bytes", path, out->len);
    fclose(f);
    return rc;
}

/* Unicode White_Space, and U+001C..1F as Python's str.split() has it. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 ||
           c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Whitespace-separated words plus one per newline. */
static size_t count_words(const char *s, size_t len)
{
    size_t words = 0;
    bool inside = false;
    for (size_t i = 0; i < len;) {
        uint32_t c = 0xFFFD;
        int n = utf8_decode(s + i, len - i, &c);
        bool space = n > 0 && is_space(c);
        words += (size_t)(!space && !inside) + (size_t)(s[i] == '\n');
        inside = !space;
        i += n > 0 ? (size_t)n : 1;
    }
    return words;
}

/* ---- scoring ---------------------------------------------------------------- */

/* -ln softmax(logits)[target]. */
static double surprise(const float *logits, size_t n, int32_t target)
{
    float top = logits[0];
    for (size_t i = 1; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)top);
    return log(sum) + (double)top - (double)logits[target];
}

static void draw_bar(const struct scoring *s, size_t at)
{
    enum { WIDTH = 40 };
    size_t total = s->ids.n ? s->ids.n : 1;
    int full = (int)(at * WIDTH / total);
    fprintf(stderr, "\r[%.*s%*s] %3zu %%", full,
            "########################################", WIDTH - full, "",
            at * 100 / total);
}

static int take_row(void *arg, size_t t, const float *logits)
{
    struct scoring *s = arg;
    s->nats += surprise(logits, (size_t)engine_info(s->e)->vocab_size, s->targets[t]);
    s->tokens++;
    if (s->bar && s->tokens % 256 == 0)
        draw_bar(s, s->done + t);
    return 0;
}

/* Scores ids[0..n), one window. With a begin id the inputs are a copy that starts with
 * it. */
static int score_window(struct scoring *s, const int32_t *ids, size_t n, int32_t *inputs,
                        struct err *err)
{
    int32_t bos = engine_info(s->e)->bos_id;
    s->targets = bos >= 0 ? ids : ids + 1;
    if (bos < 0)
        return n > 1 ? engine_score(s->e, ids, n - 1, NULL, 0, take_row, s, err) : 0;
    inputs[0] = bos;
    memcpy(inputs + 1, ids, (n - 1) * sizeof *inputs);
    return engine_score(s->e, inputs, n, NULL, 0, take_row, s, err);
}

static int score_windows(struct scoring *s, struct err *err)
{
    size_t window = (size_t)engine_info(s->e)->context_tokens;
    int32_t *inputs = mem_alloc(window * sizeof *inputs);
    int rc = inputs ? 0 : err_set(err, ERR_MEMORY, "out of memory for %zu ids", window);
    for (s->done = 0; s->done < s->ids.n && rc == 0;) {
        size_t left = s->ids.n - s->done, n = left < window ? left : window;
        rc = score_window(s, s->ids.data + s->done, n, inputs, err);
        s->done += n;
    }
    if (s->bar)
        fputs("\r\033[K", stderr);
    mem_free(inputs);
    return rc;
}

/* ---- the report ------------------------------------------------------------- */

enum { N_MEASURES = 6 };

struct measure {
    const char *name, *label;
    double value;
};

static void measure(const struct scoring *s, const struct buf *text,
                    struct measure out[N_MEASURES])
{
    double tokens = (double)s->tokens;
    double words = (double)count_words(text->data, text->len);
    const struct measure measures[N_MEASURES] = {
        {"tokens", "tokens", tokens},
        {"nats", "nats", s->nats},
        {"nats_per_token", "nats per token", s->nats / tokens},
        {"ppl_per_token", "perplexity per token", exp(s->nats / tokens)},
        {"ppl_per_word", "perplexity per word", exp(s->nats / words)},
        {"bits_per_byte", "bits per byte", s->nats / log(2.0) / (double)text->len},
    };
    memcpy(out, measures, sizeof measures);
}

static void put_json(const struct measure m[N_MEASURES], struct buf *b)
{
    for (size_t i = 0; i < N_MEASURES; i++) {
        buf_printf(b, "%s\"%s\":", i ? "," : "{", m[i].name);
        buf_json_number(b, m[i].value);
    }
    buf_puts(b, "}\n");
}

static void put_table(const struct measure m[N_MEASURES], struct buf *b)
{
    buf_printf(b, "%-22s %.0f\n", m[0].label, m[0].value); /* a count */
    for (size_t i = 1; i < N_MEASURES; i++)
        buf_printf(b, "%-22s %.6g\n", m[i].label, m[i].value);
}

static int run(struct scoring *s, const struct config *cfg, const char *path,
               struct buf *text, struct err *err)
{
    struct engine_options o;
    config_engine_options(cfg, &o);
    o.max_seqs = 1;
    o.prefix_cache = false;
    int rc = read_text(text, path, err);
    if (rc == 0 && engine_open(&s->e, &o, err) != 0) {
        err->code =
            ERR_ARGUMENT; /* whatever is wrong with a model, it is the wrong one */
        rc = -(int)err->code;
    }
    if (rc == 0)
        rc = engine_encode(
            s->e, &(struct engine_text){text->len ? text->data : "", text->len, NULL, 0},
            ENCODE_SPECIAL, &s->ids, err);
    if (rc == 0)
        rc = score_windows(s, err);
    if (rc == 0 && s->tokens == 0)
        rc = err_set(err, ERR_ARGUMENT,
                     "%s: expected a text with a token to score, found %zu ids", path,
                     s->ids.n);
    if (rc == 0 && !isfinite(s->nats))
        rc = err_set(err, ERR_INTERNAL, "a logit is not finite");
    return rc;
}

int cmd_perplexity(const struct config *cfg, const char *const *values,
                   const char *const *operands)
{
    const char *file = operands[0];
    struct scoring s = {.bar = isatty(STDERR_FILENO) == 1};
    struct buf text = {0}, out = {0};
    struct measure measures[N_MEASURES];
    struct err err = {0};
    int rc = file ? run(&s, cfg, file, &text, &err)
                  : err_set(&err, ERR_ARGUMENT, "perplexity: expected a text file");
    if (rc == 0) {
        measure(&s, &text, measures);
        (values[PERPLEXITY_JSON] ? put_json : put_table)(measures, &out);
        if (out.failed || fputs(out.data, stdout) < 0 || fflush(stdout) != 0)
            rc = err_set(&err, ERR_IO, "standard output: %s", strerror(errno));
    }
    engine_close(s.e);
    ids_free(&s.ids);
    buf_free(&text);
    buf_free(&out);
    return rc ? cmd_fail(cmd_blame(&err), &err) : CMD_OK;
}
