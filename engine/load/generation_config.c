/* A file that is there says something: one that cannot be read is an error, not absent.
 * The sampling values are looked at only when they are asked for, so that a value nobody
 * uses refuses no model.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/generation_config.h"

#include "engine/base/buf.h"
#include "engine/base/log.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX_BYTES = 8 << 20 };

typedef int read_fn(void *into, const struct json *doc, struct err *err);

/* Reads the file into `into`; absent, nothing is called. */
static int read_file(const char *dir, read_fn *read, void *into, struct err *err)
{
    char path[4096];
    struct stat st;
    struct json *doc = NULL;
    if (snprintf(path, sizeof path, "%s/generation_config.json", dir) >= (int)sizeof path)
        return err_set(err, ERR_ARGUMENT, "model folder: path longer than %zu bytes",
                       sizeof path);
    if (stat(path, &st) != 0 && errno == ENOENT)
        return 0;
    int rc = json_load(&doc, path, FILE_MAX_BYTES, err);
    if (rc)
        return rc;
    rc = json_kind(doc) == JK_OBJECT
             ? read(into, doc, err)
             : err_set(err, ERR_FORMAT, "document: expected an object, found %s",
                       json_kind_name(doc));
    json_free(doc);
    return rc ? err_prefix(err, "%.300s", path) : 0;
}

/* ---- token ids -------------------------------------------------------------- */

struct ids_reader {
    struct token_ids *ids;
    int vocab_size;
};

static int read_ids(void *into, const struct json *doc, struct err *err)
{
    struct ids_reader *r = into;
    return token_ids_read(r->ids, doc, r->vocab_size, err);
}

int generation_config_open(struct generation_config *g, const char *dir,
                           const struct token_ids *ids, int vocab_size, struct err *err)
{
    *g = (struct generation_config){.ids = *ids};
    return read_file(dir, read_ids, &(struct ids_reader){&g->ids, vocab_size}, err);
}

/* ---- sampling values -------------------------------------------------------- */

const struct gen_defaults generation_config_no_defaults = {NAN, NAN, NAN, NAN,
                                                           NAN, NAN, NAN, -1};

struct row {
    const char *name;
    size_t offset;
    double min, max;
    bool open_min; /* min itself is refused */
};

#define AT(field) offsetof(struct gen_defaults, field)

/* The limits are those of the API's fields. */
static const struct row rows[] = {
    {"temperature", AT(temperature), 0, 2, false},
    {"top_p", AT(top_p), 0, 1, true},
    {"min_p", AT(min_p), 0, 1, false},
    {"typical_p", AT(typical_p), 0, 1, true},
    {"repetition_penalty", AT(repetition_penalty), 0.01, 100, false},
    {"presence_penalty", AT(presence_penalty), -2, 2, false},
    {"frequency_penalty", AT(frequency_penalty), -2, 2, false},
};
enum { N_ROWS = sizeof rows / sizeof *rows };

/* Keys that say nothing about sampling. */
static const char *const others[] = {
    "bos_token_id",         "eos_token_id",
    "pad_token_id",         "_from_model_config",
    "transformers_version", "use_cache",
    "cache_implementation", "return_dict_in_generate",
};

struct defaults_reader {
    struct gen_defaults *out;
    struct buf honoured, ignored; /* own; of the log line */
    bool greedy;
    struct err *err;
};

static int wrong(struct err *err, const char *key, const char *expected,
                 const struct json *v)
{
    char found[JSON_SHOWN];
    return err_set(err, ERR_FORMAT, "%s: expected %s, found %s", key, expected,
                   json_shown(v, found));
}

/* Appends a name; names that would make the log line too long are left out. */
static void note(struct buf *list, const char *key, size_t len)
{
    enum { MOST = 480 };
    if (list->len + len > MOST)
        return;
    if (list->len)
        buf_puts(list, ", ");
    buf_put(list, key, len);
}

static void note_value(struct defaults_reader *r, const char *key, const struct json *v)
{
    char value[JSON_SHOWN];
    note(&r->honoured, key, strlen(key));
    buf_printf(&r->honoured, " %s", json_shown(v, value));
}

static int read_number(struct defaults_reader *r, const struct row *row,
                       const struct json *v)
{
    char expected[64];
    double x = json_as_number(v);
    snprintf(expected, sizeof expected, "a number %s %g to %g",
             row->open_min ? "above" : "from", row->min, row->max);
    if (!json_numeric(v) || !(x >= row->min && x <= row->max) ||
        (row->open_min && x == row->min))
        return wrong(r->err, row->name, expected, v);
    *(float *)((char *)r->out + row->offset) = (float)x;
    note_value(r, row->name, v);
    return 0;
}

static int read_top_k(struct defaults_reader *r, const struct json *v)
{
    int64_t k = json_as_int(v);
    if (json_kind(v) != JK_INT || k < -1 || k > INT_MAX)
        return wrong(r->err, "top_k", "an integer from 1, or 0 or -1 for off", v);
    r->out->top_k = k < 0 ? 0 : (int)k;
    note_value(r, "top_k", v);
    return 0;
}

static int read_do_sample(struct defaults_reader *r, const struct json *v)
{
    if (json_kind(v) != JK_BOOL)
        return wrong(r->err, "do_sample", "true or false", v);
    r->greedy = !json_as_bool(v);
    note_value(r, "do_sample", v);
    return 0;
}

static bool says_nothing(const char *key)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i], key) == 0)
            return true;
    return strncmp(key, "output_", 7) == 0;
}

static int read_member(void *arg, const char *key, size_t len, const struct json *v)
{
    struct defaults_reader *r = arg;
    if (json_kind(v) == JK_NULL || says_nothing(key))
        return 0;
    for (int i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i].name, key) == 0)
            return read_number(r, &rows[i], v);
    if (strcmp(key, "top_k") == 0)
        return read_top_k(r, v);
    if (strcmp(key, "do_sample") == 0)
        return read_do_sample(r, v);
    note(&r->ignored, key, len);
    return 0;
}

static void log_found(const struct defaults_reader *r)
{
    struct buf line = {0};
    buf_puts(&line, "\"honoured\":");
    buf_json_string(&line, r->honoured.len ? r->honoured.data : "", r->honoured.len);
    buf_puts(&line, ",\"not_honoured\":");
    buf_json_string(&line, r->ignored.len ? r->ignored.data : "", r->ignored.len);
    if (!line.failed)
        log_line(LOG_INFO, "model_defaults", "%.*s", (int)line.len, line.data);
    buf_free(&line);
}

static int read_defaults(void *into, const struct json *doc, struct err *err)
{
    struct defaults_reader r = {.out = into, .err = err};
    int rc = json_each(doc, read_member, &r);
    if (rc == 0 && r.greedy)
        r.out->temperature = 0;
    if (rc == 0)
        log_found(&r);
    buf_free(&r.honoured);
    buf_free(&r.ignored);
    return rc;
}

int generation_config_defaults(struct gen_defaults *out, const char *dir, struct err *err)
{
    *out = generation_config_no_defaults;
    return read_file(dir, read_defaults, out, err);
}
