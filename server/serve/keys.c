/* The key file and the constant-time compare. A reload makes a new struct: a broken file
 * leaves the old keys in force.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/keys.h"

#include "engine/base/arena.h"
#include "engine/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_LINE = 1024, MAX_KEY = 512, MAX_TENANT = 63 };

struct key {
    const char *tenant, *text; /* owned by the arena */
    size_t len;
    struct key *next;
};

struct keys {
    struct arena arena;
    struct key *first;
};

static int add(struct keys *k, const char *tenant, size_t tenant_len, const char *text,
               size_t len)
{
    struct key *key = arena_zalloc(&k->arena, 1, sizeof *key);
    if (!key)
        return -ERR_MEMORY;
    key->tenant = arena_strdup(&k->arena, tenant, tenant_len);
    key->text = arena_strdup(&k->arena, text, len);
    key->len = len;
    key->next = k->first;
    k->first = key;
    return key->tenant && key->text ? 0 : -ERR_MEMORY;
}

static bool printable(const char *s)
{
    for (; *s; s++)
        if (*s < 0x21 || *s > 0x7e)
            return false;
    return true;
}

static int add_line(struct keys *k, char *line, struct err *err)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (!*line || *line == '#')
        return 0;
    char *colon = strchr(line, ':');
    if (!colon || colon == line || !colon[1])
        return err_set(err, ERR_FORMAT, "expected tenant:key");
    if (!printable(line) || strlen(colon + 1) > MAX_KEY)
        return err_set(
            err, ERR_FORMAT,
            "tenant and key must be printable without spaces, at most %d bytes", MAX_KEY);
    if (colon - line > MAX_TENANT)
        return err_set(err, ERR_FORMAT, "a tenant's name is at most %d bytes",
                       MAX_TENANT);
    if (add(k, line, (size_t)(colon - line), colon + 1, strlen(colon + 1)))
        return err_set(err, ERR_MEMORY, "out of memory");
    return 0;
}

static int read_file(struct keys *k, const char *path, struct err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_param(err, ERR_IO, "api_keys_file", "%s: %s", path, strerror(errno));
    char line[MAX_LINE];
    int rc = 0;
    for (int n = 1; !rc && fgets(line, sizeof line, f); n++) {
        if (!strchr(line, '\n') && !feof(f))
            rc = err_set(err, ERR_FORMAT, "the line is longer than %d bytes",
                         MAX_LINE - 2);
        else
            rc = add_line(k, line, err);
        if (rc)
            err_prefix(err, "%s line %d", path, n);
    }
    memset(line, 0, sizeof line);
    if (!rc && ferror(f))
        rc = err_param(err, ERR_IO, "api_keys_file", "%s: cannot be read", path);
    fclose(f);
    if (!rc && !k->first)
        rc = err_param(err, ERR_FORMAT, "api_keys_file", "%s: holds no key", path);
    return rc;
}

int keys_open(struct keys **out, const char *path, const char *single, struct err *err)
{
    struct keys *k = mem_zalloc(1, sizeof *k);
    if (!k)
        return err_set(err, ERR_MEMORY, "out of memory");
    arena_init(&k->arena);
    int rc = *path ? read_file(k, path, err) : 0;
    if (!rc && *single && add(k, "default", 7, single, strlen(single)))
        rc = err_set(err, ERR_MEMORY, "out of memory");
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

bool keys_asked(const struct keys *k)
{
    return k->first != NULL;
}

/* Time depends on the length of what the client sent, not on the key. */
static bool same(const struct key *key, const char *s, size_t len)
{
    unsigned diff = (unsigned)(key->len ^ len) ? 1 : 0;
    for (size_t i = 0; i < len; i++)
        diff |= (unsigned char)s[i] ^ (unsigned char)key->text[i % key->len];
    return diff == 0;
}

const char *keys_tenant(const struct keys *k, const char *authorization, size_t len,
                        struct err *err)
{
    static const char scheme[] = "Bearer ";
    size_t skip = sizeof scheme - 1;
    if (!authorization || len < skip || strncasecmp(authorization, scheme, skip) != 0) {
        err_set(err, ERR_AUTH, "no API key: send Authorization: Bearer <key>");
        return NULL;
    }
    const char *found = NULL;
    for (const struct key *key = k->first; key; key = key->next)
        if (same(key, authorization + skip, len - skip))
            found = key->tenant;
    if (!found)
        err_set(err, ERR_AUTH, "the API key is not valid");
    return found;
}
