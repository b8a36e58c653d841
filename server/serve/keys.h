/*
 * API keys, and the tenant of each. Loop thread.
 *
 * A file holds one "tenant:key" a line, names of at most 63 bytes; empty lines and lines
 * that begin with # are skipped. Keys are compared in constant time, all of them at each
 * call, so that neither a key's length match nor its place in the file shows in the time
 * taken.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_KEYS_H
#define SERVER_SERVE_KEYS_H

#include "engine/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct keys;

/* path "": no file. single "": no such key. ERR_IO, or ERR_FORMAT with file and line. */
int keys_open(struct keys **out, const char *path, const char *single, struct err *err);
void keys_close(struct keys *k); /* accepts NULL */

/* False: there are no keys, every request is accepted. */
bool keys_asked(const struct keys *k);

/* The tenant of an Authorization value ("Bearer …"; NULL = absent), owned by k; NULL with
 * ERR_AUTH when it has no valid key. */
const char *keys_tenant(const struct keys *k, const char *authorization, size_t len,
                        struct err *err);

#endif
