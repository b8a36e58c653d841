/*
 * What a connection may touch of the process: configuration, sockets, keys, storage, the
 * served model, counters and the phase. Loop thread; nothing here is touched by another
 * thread, and what is shared with the engine thread is behind `bridge`. loop.c owns the
 * struct and everything in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SERVE_SERVER_H
#define SERVER_SERVE_SERVER_H

#include "api/api.h"
#include "engine/base/list.h"
#include "server/config/config.h"
#include "server/http/address.h"
#include "server/http/budget.h"
#include "server/http/http.h"
#include "server/serve/admit.h"
#include "server/serve/bridge.h"
#include "server/serve/cache_writer.h"
#include "server/serve/job.h"
#include "server/serve/keys.h"
#include "server/serve/metrics.h"
#include "server/serve/request_memory.h"
#include "server/serve/served_template.h"
#include "server/serve/task.h"
#include "server/serve/tenant.h"
#include "server/serve/trimmer.h"
#include "server/storage/object_store.h"

enum server_phase {
    SERVER_LOADING,
    SERVER_SERVING,
    SERVER_GRACE,    /* a signal came: not ready, but new requests are still served */
    SERVER_DRAINING, /* new requests get 503, running ones finish */
    SERVER_ABORTING, /* drain_timeout is over: running ones are being ended */
    SERVER_OVER
};

struct route;
struct route_ops; /* conn.h */

/* What a route does; never NULL. */
typedef const struct route_ops *server_routes_fn(const struct route *r);

struct served_model {
    struct bridge *bridge; /* owns */
    struct admit admit;
    struct served_template template;
    struct api_limits limits; /* served_name from the start, the rest when serving */
    /* The engine as it was before the tick drained its events: a request that it had
     * started by then has started here, too. */
    uint64_t drained_steps;
    bool drained_idle;
    int64_t created; /* unix seconds of the model's loading */
};

struct server {
    const struct config *cfg; /* borrows */
    uv_loop_t *uv;            /* borrows; for task_start */
    struct http *http;
    struct keys *keys;
    struct address_list trusted; /* proxies whose X-Forwarded-For counts */
    struct tenant_table tenants;
    struct object_store *storage;   /* NULL: states are not kept */
    struct task_limit disk_limit;   /* for all tasks that touch `storage` */
    struct task_limit render_limit; /* for renderings of chat templates */
    struct task_limit large_limit; /* for reading large bodies and texts: one at a time */
    struct cache_writer cache_writer;
    struct served_model model;
    struct metrics metrics;
    struct job_table jobs;
    struct list conns;    /* every struct conn */
    struct budget budget; /* of everything before admission but trees */
    struct request_memory memory;
    struct trimmer trimmer;
    struct process_stats process;
    uint64_t process_ns; /* when `process` was read */
    enum server_phase phase;
    server_routes_fn *routes;
};

/* 0 when new requests are accepted; else ERR_UNAVAILABLE with the reason. server_ready is
 * what a balancer asks: the model is loaded, the engine steps, no drain has begun. A full
 * queue is no part of it, or overload would take every replica out at once. */
int server_accepts(const struct server *server, struct err *err);
int server_ready(const struct server *server, struct err *err);

uint64_t server_now(void); /* monotonic nanoseconds */

/* True when more than `seconds` have passed since; never when seconds is 0. */
bool server_expired(uint64_t since_ns, uint64_t now_ns, double seconds);

#endif
