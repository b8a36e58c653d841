/*
 * Option tables: names and reading. Every value, whatever its source, passes through one
 * parser (parse_*) after its JSON type has been checked, so that limits are written once.
 * Refuses: unknown names, wrong types, values outside the limits, NUL inside strings.
 * The subtle point: a field changes only when its value was accepted whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/config/option.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ------------------------------------------------------------------ */

static void spell(const char *name, const char *prefix, char sep, bool upper,
                  char out[OPTION_NAME_CAP])
{
    size_t n = (size_t)snprintf(out, OPTION_NAME_CAP, "%s%s", prefix, name);
    for (size_t i = strlen(prefix); i < n && i + 1 < OPTION_NAME_CAP; i++) {
        if (out[i] == '_' || out[i] == '.')
            out[i] = sep;
        else if (upper)
            out[i] = (char)toupper((unsigned char)out[i]);
    }
}

void option_env_name(const struct option_row *row, char out[OPTION_NAME_CAP])
{
    spell(row->name, "SSMD_", '_', true, out);
}

void option_flag_name(const struct option_row *row, char out[OPTION_NAME_CAP])
{
    spell(row->name, "--", '-', false, out);
}

typedef void name_fn(const struct option_row *row, char out[OPTION_NAME_CAP]);

static const struct option_row *find(const struct options *o, const char *name,
                                     size_t len, name_fn *name_of)
{
    for (size_t i = 0; i < o->n; i++) {
        char own[OPTION_NAME_CAP];
        name_of(&o->rows[i], own);
        if (strlen(own) == len && memcmp(own, name, len) == 0)
            return &o->rows[i];
    }
    return NULL;
}

const struct option_row *option_by_flag(const struct options *o, const char *name,
                                        size_t len)
{
    return find(o, name, len, option_flag_name);
}

const struct option_row *option_by_env(const struct options *o, const char *name,
                                       size_t len)
{
    return find(o, name, len, option_env_name);
}

/* ---- refusals --------------------------------------------------------------- */

static void put_names(const struct option_row *row, struct buf *b)
{
    for (size_t i = 0; row->names && row->names[i]; i++)
        buf_printf(b, "%s\"%s\"", i ? ", " : "", row->names[i]);
}

/* What the row accepts, in words. Lengths and limits print as whole numbers where they
 * are. */
static void expectation(const struct option_row *row, struct buf *b)
{
    static const char *const kinds[] = {
        [OPTION_INT] = "an integer",
        [OPTION_BYTES] = "a size in bytes (a number, or text such as \"512MiB\")",
        [OPTION_SECONDS] = "a number of seconds",
    };
    if (row->names && row->type != OPTION_INT) {
        buf_puts(b, "one of ");
        put_names(row, b);
    } else if (row->type == OPTION_LIST) {
        buf_puts(b, "strings, as an array or separated by commas");
    } else if (row->type == OPTION_STRING) {
        buf_printf(b, row->min > 0 ? "a string of %.0f to %.0f bytes" : "a string",
                   row->min, row->max);
    } else {
        buf_printf(b, "%s from %.15g to %.15g", kinds[row->type], row->min, row->max);
        buf_puts(b, row->names ? ", or " : "");
        put_names(row, b);
    }
}

static int refuse(const struct option_row *row, const char *where, const char *found,
                  struct err *err)
{
    struct buf b = {0};
    expectation(row, &b);
    buf_printf(&b, ", found %s", row->secret ? "another value (not shown)" : found);
    int rc = b.failed
                 ? err_set(err, ERR_MEMORY, "out of memory")
                 : err_param(err, ERR_ARGUMENT, row->name, "%s (set by %s): expected %s",
                             row->name, where, b.data);
    buf_free(&b);
    return rc;
}

static int refuse_text(const struct option_row *row, const char *where, const char *text,
                       struct err *err)
{
    char found[80];
    snprintf(found, sizeof found, "\"%.60s\"%s", text, strlen(text) > 60 ? "…" : "");
    return refuse(row, where, found, err);
}

/* ---- values ----------------------------------------------------------------- */

static bool parse_number(const char *text, double *out, const char **end)
{
    if (!isdigit((unsigned char)text[0]) && text[0] != '-' && text[0] != '.')
        return false; /* strtod alone would take "inf", "nan" and leading blanks */
    char *stop;
    errno = 0;
    *out = strtod(text, &stop);
    *end = stop;
    return stop != text && errno == 0 && isfinite(*out) &&
           !memchr(text, 'x', (size_t)(stop - text));
}

static int name_index(const struct option_row *row, const char *text)
{
    for (int i = 0; row->names && row->names[i]; i++) {
        if (strcmp(row->names[i], text) == 0)
            return i;
    }
    return -1;
}

static bool parse_int(const struct option_row *row, const char *text, int *out)
{
    int word = name_index(row, text);
    if (word >= 0) {
        *out = -1 - word;
        return true;
    }
    if (text[strspn(text, "-0123456789")] != '\0' || text[0] == '\0')
        return false;
    char *stop;
    errno = 0;
    long long x = strtoll(text, &stop, 10);
    if (*stop || errno || (double)x < row->min || (double)x > row->max)
        return false;
    *out = (int)x;
    return true;
}

static bool parse_bytes(const struct option_row *row, const char *text, size_t *out)
{
    static const struct {
        const char *unit;
        double scale;
    } units[] = {
        {"", 1},         {"B", 1},        {"KiB", 0x1p10}, {"MiB", 0x1p20},
        {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"KB", 1e3},     {"kB", 1e3},
        {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},
    };
    double x;
    const char *end;
    if (!parse_number(text, &x, &end))
        return false;
    end += strspn(end, " ");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        x *= units[i].scale;
        if (x != floor(x) || x < row->min || x > row->max)
            return false;
        *out = (size_t)x;
        return true;
    }
    return false;
}

static bool parse_seconds(const struct option_row *row, const char *text, double *out)
{
    double x;
    const char *end;
    if (!parse_number(text, &x, &end) || *end || x < row->min || x > row->max)
        return false;
    *out = x;
    return true;
}

static int set_string(const struct options *o, const struct option_row *row,
                      const char *text, const char *where, struct err *err)
{
    size_t len = strlen(text);
    bool fits = row->names ? name_index(row, text) >= 0
                           : (double)len >= row->min && (double)len <= row->max;
    if (!fits)
        return refuse_text(row, where, text, err);
    char *copy = arena_strdup(o->arena, text, len);
    if (!copy)
        return err_no_memory(err);
    memcpy((char *)o->base + row->offset, &copy, sizeof copy);
    return 0;
}

/* items: n strings that live in the arena; an empty or too long one is refused. */
static int set_list(const struct options *o, const struct option_row *row,
                    const char **items, size_t n, const char *where, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i][0] == '\0' || (double)strlen(items[i]) > row->max)
            return refuse_text(row, where, items[i], err);
    }
    struct option_list list = {items, n};
    memcpy((char *)o->base + row->offset, &list, sizeof list);
    return 0;
}

static int set_list_text(const struct options *o, const struct option_row *row,
                         const char *text, const char *where, struct err *err)
{
    size_t n = text[0] != '\0', k = 0;
    for (const char *p = text; *p; p++)
        n += *p == ',';
    char *copy = arena_strdup(o->arena, text, strlen(text));
    const char **items = arena_alloc(o->arena, (n + 1) * sizeof *items);
    if (!copy || !items)
        return err_no_memory(err);
    for (char *p = copy; k < n; k++) {
        items[k] = p;
        p += strcspn(p, ",");
        *p++ = '\0'; /* the last one overwrites the end itself */
    }
    return set_list(o, row, items, n, where, err);
}

int option_set(const struct options *o, const struct option_row *row, const char *text,
               const char *where, struct err *err)
{
    if (row->type == OPTION_STRING)
        return set_string(o, row, text, where, err);
    if (row->type == OPTION_LIST)
        return set_list_text(o, row, text, where, err);
    void *field = (char *)o->base + row->offset;
    bool good = false;
    int choice;
    if (row->type == OPTION_INT)
        good = parse_int(row, text, field);
    else if (row->type == OPTION_BYTES)
        good = parse_bytes(row, text, field);
    else if (row->type == OPTION_SECONDS)
        good = parse_seconds(row, text, field);
    else if ((choice = name_index(row, text)) >= 0) {
        memcpy(field, &choice, sizeof choice); /* enums have the size of an int */
        good = true;
    }
    return good ? 0 : refuse_text(row, where, text, err);
}

int option_defaults(const struct options *o, struct err *err)
{
    for (size_t i = 0; i < o->n; i++) {
        int rc = option_set(o, &o->rows[i], o->rows[i].initial, "its default", err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- JSON ------------------------------------------------------------------- */

struct reader {
    const struct options *o;
    const char *where;
    const char *prefix; /* "state." inside that object, "" at the top */
    struct err *err;
};

static int set_json_list(const struct reader *r, const struct option_row *row,
                         const struct json *v)
{
    size_t n = json_len(v);
    const char **items = arena_alloc(r->o->arena, (n + 1) * sizeof *items);
    for (size_t i = 0; items && i < n; i++) {
        size_t len;
        const struct json *item = json_at(v, i);
        if (json_kind(item) != JK_STRING)
            return refuse(row, r->where, json_kind_name(item), r->err);
        const char *s = json_as_string(item, &len);
        if (strlen(s) != len)
            return refuse(row, r->where, "a string that holds U+0000", r->err);
        items[i] = arena_strdup(r->o->arena, s, len);
        if (!items[i])
            return err_no_memory(r->err);
    }
    return items ? set_list(r->o, row, items, n, r->where, r->err)
                 : err_no_memory(r->err);
}

static int set_json_value(const struct reader *r, const struct option_row *row,
                          const struct json *v)
{
    enum json_kind kind = json_kind(v);
    char text[40];
    if (kind == JK_ARRAY && row->type == OPTION_LIST)
        return set_json_list(r, row, v);
    bool takes_text =
        row->type == OPTION_INT ? row->names != NULL : row->type != OPTION_SECONDS;
    if (kind == JK_STRING && takes_text) {
        size_t len;
        const char *s = json_as_string(v, &len);
        if (strlen(s) != len)
            return refuse(row, r->where, "a string that holds U+0000", r->err);
        if (row->type == OPTION_INT && name_index(row, s) < 0)
            return refuse_text(row, r->where, s, r->err);
        return option_set(r->o, row, s, r->where, r->err);
    }
    bool whole = row->type == OPTION_INT || row->type == OPTION_BYTES;
    if (kind == JK_INT && (whole || row->type == OPTION_SECONDS)) {
        snprintf(text, sizeof text, "%lld", (long long)json_as_int(v));
        return option_set(r->o, row, text, r->where, r->err);
    }
    if (kind == JK_REAL && (whole || row->type == OPTION_SECONDS)) {
        snprintf(text, sizeof text, "%.17g", json_as_number(v));
        return whole ? refuse(row, r->where, text, r->err)
                     : option_set(r->o, row, text, r->where, r->err);
    }
    return refuse(row, r->where, json_kind_name(v), r->err);
}

static int read_object(const struct reader *r, const struct json *object);

static int read_member(void *arg, const char *key, size_t key_len, const struct json *v)
{
    const struct reader *r = arg;
    char name[OPTION_NAME_CAP];
    if (key_len == 2 && memcmp(key, "//", 2) == 0)
        return 0; /* a comment */
    int n = snprintf(name, sizeof name, "%s%.*s", r->prefix, (int)key_len, key);
    bool is_prefix = false;
    for (size_t i = 0; n < OPTION_NAME_CAP - 1 && i < r->o->n; i++) {
        const char *own = r->o->rows[i].name;
        if (strcmp(own, name) == 0 && strlen(key) == key_len && !strchr(key, '.'))
            return set_json_value(r, &r->o->rows[i], v);
        is_prefix |= strncmp(own, name, (size_t)n) == 0 && own[n] == '.';
    }
    if (!is_prefix)
        return err_param(r->err, ERR_ARGUMENT, name, "%s: unknown key \"%.60s\"",
                         r->where, name);
    if (json_kind(v) != JK_OBJECT)
        return err_param(r->err, ERR_ARGUMENT, name,
                         "%s (set by %s): expected an object, found %s", name, r->where,
                         json_kind_name(v));
    snprintf(name + n, sizeof name - (size_t)n, ".");
    struct reader inner = {r->o, r->where, name, r->err};
    return read_object(&inner, v);
}

static int read_object(const struct reader *r, const struct json *object)
{
    return json_each(object, read_member, (void *)(uintptr_t)r);
}

int option_set_json(const struct options *o, const struct json *root, const char *where,
                    struct err *err)
{
    if (json_kind(root) != JK_OBJECT)
        return err_set(err, ERR_ARGUMENT,
                       "%s: expected an object of configuration keys, found %s", where,
                       json_kind_name(root));
    struct reader r = {o, where, "", err};
    return read_object(&r, root);
}
