/*
 * The loop thread's world: one struct that holds all it serves with, its phases from
 * loading to drained, and the clock tick. Nothing in it is touched by another thread;
 * what is shared is behind `bridge`.
 */
#ifndef SERVER_SERVE_LOOP_H
#define SERVER_SERVE_LOOP_H

#include "api/api.h"
#include "engine/base/list.h"
#include "server/config/config.h"
#include "server/http/http.h"
#include "server/serve/admit.h"
#include "server/serve/bridge.h"
#include "server/serve/cache_writer.h"
#include "server/serve/job.h"
#include "server/serve/keys.h"
#include "server/serve/metrics.h"
#include "server/serve/task.h"
#include "server/storage/object_store.h"

#include <uv.h>

enum server_phase {
    SERVER_LOADING,
    SERVER_SERVING,
    SERVER_GRACE,    /* told to stop: not ready, but new requests are still served */
    SERVER_DRAINING, /* new requests get 503, running ones finish */
    SERVER_ABORTING, /* drain_timeout is over: running ones are being ended */
    SERVER_OVER
};

enum { LOOP_SIGNALS = 3 };

struct loop {
    const struct config *cfg; /* borrows */
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t tick;
    uv_signal_t signals[LOOP_SIGNALS];
    bool handles_open;

    struct http *http;          /* owns */
    struct bridge *bridge;      /* owns */
    struct keys *keys;          /* owns */
    struct object_store *store; /* NULL: no states are kept; or &directory */
    struct object_store directory;
    struct cache_writer cache_writer;
    struct admit admit;
    struct metrics metrics;
    struct job_table jobs;
    struct list conns; /* every struct conn */
    struct list
        transfers; /* every struct route_transfer with buffers: route_transfer.c */
    struct task_limit disk;   /* for all that touches `store` */
    struct api_limits limits; /* served_name from the start, the rest when serving */
    int64_t created;          /* unix seconds of the model's loading */
    size_t held_bytes;        /* of bodies that wait for work */
    struct process_stats process;
    uint64_t process_ns; /* when `process` was read */

    enum server_phase phase;
    uint64_t phase_ns, start_ns;
    int exit_code;
};

/* Serves until a signal or a fault; the process's exit code. cfg is borrowed. */
int loop_run(const struct config *cfg);

/* 0 when new requests are welcome; else ERR_UNAVAILABLE with the reason. The second one
 * adds what only makes a balancer look elsewhere: draining, a full queue. */
int loop_accepts(const struct loop *l, struct err *err);
int loop_ready(const struct loop *l, struct err *err);

uint64_t loop_now(void); /* monotonic nanoseconds */

#endif
