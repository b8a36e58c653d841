/*
 * API keys, the tenant of each, and what the tenant may use. Loop thread.
 *
 * A file holds one "tenant:key" a line, names of at most 63 bytes, then optional words
 * name=value (struct keys_limits); empty lines and lines that begin with # are skipped.
 * Lines of one tenant have the same words, and no key belongs to two tenants: else it would
 * depend on the order of lines which one holds. Keys are compared in constant time, all of
 * them at each call, so that neither a key's length match nor its place in the file shows
 * in the time taken.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_KEYS_H
#define SERVER_SERVE_KEYS_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { KEYS_TENANT_BYTES = 64 }; /* of a tenant's name, with the NUL */

struct keys_limits {
    int rate;                /* tokens a second; 0: no limit */
    int running;             /* prompts queued or running at a time; 0: no limit */
    int share;               /* weight of deficit round robin, 1 or more */
    int priority;            /* the smallest that a request may ask for */
    size_t checkpoint_bytes; /* of the prefix cache; 0: no limit */
    size_t state_bytes;      /* of the state directory; 0: state.tenant_bytes holds */
};

/* Without keys, and of a line without words. */
extern const struct keys_limits keys_no_limits;

struct keys_tenant {
    char name[KEYS_TENANT_BYTES];
    struct keys_limits limits;
    int line; /* the first that names it */
    const struct keys_tenant *next;
};

struct keys;

/* path "": no file. single "": no such key; it belongs to the tenant "default". ERR_IO, or
 * ERR_FORMAT with file and line; no text shows a key. */
int keys_open(struct keys **out, const char *path, const char *single, struct err *err);
void keys_close(struct keys *k); /* accepts NULL */

/* False: there are no keys, every request is accepted. */
bool keys_asked(const struct keys *k);

/* The first of all tenants; NULL: none. Owned by k. */
const struct keys_tenant *keys_tenants(const struct keys *k);

/* The key that a request brings: what follows "Bearer " in its Authorization, or else its
 * X-Api-Key; both may be NULL. NULL: it brings none. Borrows, as `len` bytes. */
const char *keys_sent(const char *authorization, const char *x_api_key, size_t *len);

/* The tenant's name of a key, owned by k; NULL with ERR_AUTH when there is none or (NULL)
 * no key was sent. */
const char *keys_tenant(const struct keys *k, const char *sent, size_t len,
                        struct err *err);

#endif
