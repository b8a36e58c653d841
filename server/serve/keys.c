/* The lines of the key file, and the constant-time compare. A reload makes a new struct: a
 * broken file leaves the old keys in force.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/keys.h"

#include "engine/base/arena.h"
#include "engine/base/mem.h"
#include "server/config/option.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_LINE = 1024, MAX_KEY = 512 };

struct key {
    const struct keys_tenant *tenant;
    const char *text; /* owned by the arena */
    size_t len;
    int line;
    struct key *next;
};

struct keys {
    struct arena arena;
    struct key *first;
    struct keys_tenant *tenants;
};

const struct keys_limits keys_no_limits = {.share = 1};

/* ---- words ------------------------------------------------------------------ */

#define WORD(member, kind, least, most)                                                  \
    {                                                                                    \
        .name = #member, .type = (kind), .offset = offsetof(struct keys_limits, member), \
        .min = (least), .max = (most)                                                    \
    }

static const struct option_row words[] = {
    WORD(rate, OPTION_INT, 1, 1e6),
    WORD(running, OPTION_INT, 1, 1e6),
    WORD(share, OPTION_INT, 1, 1000),
    WORD(priority, OPTION_INT, INT_MIN, INT_MAX),
    WORD(checkpoint_bytes, OPTION_BYTES, 1, 0x1p50),
    WORD(state_bytes, OPTION_BYTES, 1, 0x1p50),
};
enum { N_WORDS = sizeof words / sizeof *words };

static size_t find_word(const char *name, size_t len)
{
    size_t i = 0;
    while (i < N_WORDS &&
           (strlen(words[i].name) != len || memcmp(words[i].name, name, len) != 0))
        i++;
    return i;
}

/* Reads name=value; *seen has a bit for every name so far. What has no = may be the rest
 * of a key and is not shown. */
static int read_word(const char *word, struct keys_limits *limits, unsigned *seen,
                     struct err *err)
{
    const struct options o = {.rows = words, .n = N_WORDS, .base = limits};
    size_t len = strcspn(word, "="), i = find_word(word, len);
    if (!word[len])
        return err_set(err, ERR_FORMAT, "expected name=value behind the key");
    if (i == N_WORDS)
        return err_set(err, ERR_FORMAT,
                       "unknown word %.32s; there are rate=, running=, share=, "
                       "priority=, checkpoint_bytes= and state_bytes=",
                       word);
    if (*seen & 1u << i)
        return err_set(err, ERR_FORMAT, "%s= is given twice", words[i].name);
    *seen |= 1u << i;
    int rc = option_set(&o, &words[i], word + len + 1, "this line", err);
    if (rc && err)
        err->code = ERR_FORMAT; /* of the file, whatever it is of an option */
    return rc ? -ERR_FORMAT : 0;
}

static int read_words(char *text, struct keys_limits *limits, struct err *err)
{
    static const char blanks[] = " \t";
    unsigned seen = 0;
    char *rest = NULL;
    int rc = 0;
    *limits = keys_no_limits;
    for (char *w = strtok_r(text, blanks, &rest); w && !rc;
         w = strtok_r(NULL, blanks, &rest))
        rc = read_word(w, limits, &seen, err);
    return rc;
}

/* ---- tenants and keys ------------------------------------------------------- */

static bool same_limits(const struct keys_limits *a, const struct keys_limits *b)
{
    return a->rate == b->rate && a->running == b->running && a->share == b->share &&
           a->priority == b->priority && a->checkpoint_bytes == b->checkpoint_bytes &&
           a->state_bytes == b->state_bytes;
}

static const struct keys_tenant *find_tenant(const struct keys *k, const char *name)
{
    const struct keys_tenant *t = k->tenants;
    while (t && strcmp(t->name, name) != 0)
        t = t->next;
    return t;
}

/* The tenant of a line, made by the first that names it. */
static int take_tenant(struct keys *k, const char *name, const struct keys_limits *limits,
                       int line, const struct keys_tenant **out, struct err *err)
{
    *out = find_tenant(k, name);
    if (*out && same_limits(&(*out)->limits, limits))
        return 0;
    if (*out)
        return err_set(err, ERR_FORMAT,
                       "tenant %s has other words in line %d; all lines of a tenant have "
                       "the same",
                       name, (*out)->line);
    struct keys_tenant *t = arena_zalloc(&k->arena, 1, sizeof *t);
    if (!t)
        return err_no_memory(err);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->limits = *limits;
    t->line = line;
    t->next = k->tenants;
    *out = k->tenants = t;
    return 0;
}

static int add(struct keys *k, const struct keys_tenant *tenant, const char *text,
               int line, struct err *err)
{
    size_t len = strlen(text);
    for (const struct key *o = k->first; o; o = o->next)
        if (o->tenant != tenant && o->len == len && memcmp(o->text, text, len) == 0)
            return err_set(err, ERR_FORMAT,
                           "tenant %s has the key of tenant %s in line %d", tenant->name,
                           o->tenant->name, o->line);
    struct key *key = arena_zalloc(&k->arena, 1, sizeof *key);
    if (!key)
        return err_no_memory(err);
    *key = (struct key){tenant, arena_strdup(&k->arena, text, len), len, line, k->first};
    k->first = key;
    return key->text ? 0 : err_no_memory(err);
}

static bool printable(const char *s)
{
    for (; *s; s++)
        if (*s < 0x21 || *s > 0x7e)
            return false;
    return true;
}

/* Cuts "tenant:key" in two. */
static int cut(char *text, char **key, struct err *err)
{
    char *colon = strchr(text, ':');
    if (!colon || colon == text || !colon[1])
        return err_set(err, ERR_FORMAT, "expected tenant:key");
    if (!printable(text) || strlen(colon + 1) > MAX_KEY)
        return err_set(
            err, ERR_FORMAT,
            "tenant and key must be printable without spaces, at most %d bytes", MAX_KEY);
    if (colon - text >= KEYS_TENANT_BYTES)
        return err_set(err, ERR_FORMAT, "a tenant's name is at most %d bytes",
                       KEYS_TENANT_BYTES - 1);
    *colon = '\0';
    *key = colon + 1;
    return 0;
}

static int add_line(struct keys *k, char *line, int number, struct err *err)
{
    struct keys_limits limits;
    const struct keys_tenant *tenant;
    char *key = NULL;
    line[strcspn(line, "\r\n")] = '\0';
    if (!*line || *line == '#')
        return 0;
    char *behind = line + strcspn(line, " \t");
    if (*behind)
        *behind++ = '\0';
    int rc = cut(line, &key, err);
    if (!rc)
        rc = read_words(behind, &limits, err);
    if (!rc)
        rc = take_tenant(k, line, &limits, number, &tenant, err);
    return rc ? rc : add(k, tenant, key, number, err);
}

/* ---- opening ---------------------------------------------------------------- */

static int read_lines(struct keys *k, FILE *f, const char *path, struct err *err)
{
    char line[MAX_LINE];
    int rc = 0;
    for (int n = 1; !rc && fgets(line, sizeof line, f); n++) {
        if (!strchr(line, '\n') && !feof(f))
            rc = err_set(err, ERR_FORMAT, "the line is longer than %d bytes",
                         MAX_LINE - 2);
        else
            rc = add_line(k, line, n, err);
        if (rc)
            err_prefix(err, "%s line %d", path, n);
    }
    explicit_bzero(line, sizeof line);
    return rc;
}

static int read_file(struct keys *k, const char *path, struct err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_param(err, ERR_IO, "api_keys_file", "%s: %s", path, strerror(errno));
    int rc = read_lines(k, f, path, err);
    if (!rc && ferror(f))
        rc = err_param(err, ERR_IO, "api_keys_file", "%s: cannot be read", path);
    fclose(f);
    if (!rc && !k->first)
        rc = err_param(err, ERR_FORMAT, "api_keys_file", "%s: holds no key", path);
    return rc;
}

/* The key of the configuration: its tenant has the words that the file gives it, if any. */
static int add_single(struct keys *k, const char *key, struct err *err)
{
    static const char name[] = "default";
    const struct keys_tenant *tenant = find_tenant(k, name);
    int rc = tenant ? 0 : take_tenant(k, name, &keys_no_limits, 0, &tenant, err);
    return rc ? rc : add(k, tenant, key, 0, err);
}

int keys_open(struct keys **out, const char *path, const char *single, struct err *err)
{
    struct keys *k = mem_zalloc(1, sizeof *k);
    if (!k)
        return err_no_memory(err);
    arena_init(&k->arena);
    int rc = *path ? read_file(k, path, err) : 0;
    if (!rc && *single)
        rc = add_single(k, single, err);
    if (rc) {
        keys_close(k);
        return rc;
    }
    *out = k;
    return 0;
}

void keys_close(struct keys *k)
{
    if (!k)
        return;
    arena_free(&k->arena);
    mem_free(k);
}

/* ---- asking ----------------------------------------------------------------- */

bool keys_asked(const struct keys *k)
{
    return k->first != NULL;
}

const struct keys_tenant *keys_tenants(const struct keys *k)
{
    return k->tenants;
}

/* Time depends on the length of what the client sent, not on the key. */
static bool same(const struct key *key, const char *s, size_t len)
{
    unsigned diff = (unsigned)(key->len ^ len) ? 1 : 0;
    for (size_t i = 0; i < len; i++)
        diff |= (unsigned char)s[i] ^ (unsigned char)key->text[i % key->len];
    return diff == 0;
}

const char *keys_sent(const char *authorization, const char *x_api_key, size_t *len)
{
    static const char scheme[] = "Bearer ";
    size_t skip = sizeof scheme - 1;
    const char *sent = x_api_key;
    if (authorization && strncasecmp(authorization, scheme, skip) == 0)
        sent = authorization + skip;
    *len = sent ? strlen(sent) : 0;
    return sent;
}

const char *keys_tenant(const struct keys *k, const char *sent, size_t len,
                        struct err *err)
{
    if (!sent) {
        err_set(err, ERR_AUTH, "no API key: send Authorization: Bearer <key>");
        return NULL;
    }
    const char *found = NULL;
    for (const struct key *key = k->first; key; key = key->next)
        if (same(key, sent, len))
            found = key->tenant->name;
    if (!found)
        err_set(err, ERR_AUTH, "the API key is not valid");
    return found;
}
