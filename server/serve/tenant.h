/*
 * The tenants that the key file names: what each may use, and what it uses now. Loop
 * thread, but for a tenant's name, which is constant; the table is the server's.
 *
 * `rate` is a token bucket that holds TENANT_BURST_SECONDS of it. An answer under way is
 * charged as it is generated, into debt if need be; a request is admitted while there is no
 * debt, so that over time the rate holds whatever the size of answers. The bucket is kept
 * as the time at which it is, or was, at zero: filling needs no arithmetic (the virtual
 * scheduling of the generic cell rate algorithm, ITU-T I.371, annex A).
 * `running` counts prompts from admission to their last event, queued or running: a burst
 * passes it no more than a trickle. Time is an argument.
 *
 * The subtle point: a tenant stays where it is until the table is closed, whatever later
 * files say. Connections point to it, and reading the file anew loses no count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_TENANT_H
#define SERVER_SERVE_TENANT_H

#include "engine/base/map.h"
#include "server/serve/keys.h"

#include <stdint.h>

enum { TENANT_BURST_SECONDS = 10 };

struct tenant {
    char name[KEYS_TENANT_BYTES];
    struct keys_limits limits;
    int admitted;    /* prompts queued or running */
    int64_t zero_ns; /* when the bucket is empty and nothing is owed; of a rate */
};

struct tenant_table {
    struct tenant anyone; /* of requests that need no key: named "", without limits */
    struct tenant **list; /* owns both levels; [n] */
    size_t n, cap;
    struct strmap names;
};

int tenant_table_open(struct tenant_table *t, struct err *err); /* ERR_MEMORY */
void tenant_table_close(struct tenant_table *t);                /* accepts zeroed */

/* Adds the tenants of keys that are new and sets the limits of all of them. A new bucket is
 * full, another one keeps its tokens or its debt. Tenants that keys does not name have no
 * key any more and keep what they have. ERR_MEMORY, and no limit has changed. */
int tenant_table_update(struct tenant_table *t, const struct keys *keys, uint64_t now_ns,
                        struct err *err);

/* A tenant of the keys that the table was updated with last. */
struct tenant *tenant_find(const struct tenant_table *t, const char *name);

/* ERR_BUSY while there is a debt, which will be paid in *retry_s seconds. */
int tenant_check_rate(const struct tenant *t, uint64_t now_ns, int *retry_s,
                      struct err *err);

/* ERR_BUSY when n prompts more are too many now, ERR_BUDGET when they always are. */
int tenant_check_running(const struct tenant *t, int n, struct err *err);

/* The bucket pays for tokens that were or will be computed. */
void tenant_charge(struct tenant *t, int tokens, uint64_t now_ns);

#endif
