/*
 * The loop: opening, phases, signals, closing. The tick moves phases on; the wake-up,
 * sent by the engine thread and coalesced by libuv, drains everything that has come.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/serve/loop.h"

#include "engine/base/log.h"
#include "server/serve/conn.h"
#include "server/serve/process.h"
#include "server/serve/reaper.h"
#include "server/serve/start_log.h"
#include "server/serve/watchdog.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { N_SIGNALS = 3 };
enum { MAX_CONNECTIONS = 10000, SPARE_FILES = 64 };
enum { MAX_RENDERS = 2 }; /* at once: a broken template takes long, and 64 MiB */
enum { MAX_CHOICES = 2048, MAX_ANSWER_TOKENS = 1 << 24 };
static const double ABORT_SECONDS = 2, ARRIVAL_SECONDS = 1;

struct loop {
    struct server server; /* what connections may touch; the rest is private */
    uv_loop_t uv;
    uv_async_t wake;
    atomic_ullong woken_ns; /* when the wake-up that has not run yet was sent; 0: none */
    uv_timer_t tick;
    uv_signal_t signals[N_SIGNALS];
    bool handles_open;
    struct watchdog watchdog;
    struct object_store directory; /* server.storage, if there is one */
    uint64_t phase_ns, start_ns;
    struct err fault; /* what ended the loop; code 0: a signal */
};

/* ---- phases ----------------------------------------------------------------- */

static void enter(struct loop *l, enum server_phase phase)
{
    static const char *const names[] = {"loading",  "serving", "grace",
                                        "draining", "cutting", "over"};
    l->server.phase = phase;
    l->phase_ns = server_now();
    log_line(LOG_INFO, "phase", "\"phase\":\"%s\"", names[phase]);
    if (phase == SERVER_OVER)
        uv_stop(&l->uv);
}

/* Logs the ready line with the address of the web page; prints that on a terminal too. */
static void report_ready(const struct loop *l)
{
    const char *host = l->server.cfg->host;
    bool v6 = strchr(host, ':') != NULL; /* stands in brackets in a URL */
    char page[320];
    snprintf(page, sizeof page, "http://%s%s%s:%d/", v6 ? "[" : "", host, v6 ? "]" : "",
             http_port(l->server.http));
    log_line(LOG_INFO, "ready", "\"port\":%d,\"load_ms\":%.1f,\"page\":\"%s\"",
             http_port(l->server.http), (double)(server_now() - l->start_ns) / 1e6, page);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\nssmd serves %s. Try it in a browser: %s\n",
                l->server.model.limits.served_name, page);
}

static void load_template(struct served_model *m)
{
    const struct engine *e = bridge_engine(m->bridge);
    struct buf text = {0};
    served_template_loaded(&m->template, e);
    served_template_describe(&m->template, e, &text);
    log_text(LOG_INFO, "chat", text.data ? text.data : "");
    buf_free(&text);
}

static void loaded(struct loop *l)
{
    const struct engine_info *i = engine_info(bridge_engine(l->server.model.bridge));
    l->server.model.admit.max_seqs = i->max_seqs;
    l->server.model.created = time(NULL);
    l->server.model.limits.vocab_size = i->vocab_size;
    l->server.model.limits.context_tokens = i->context_tokens;
    l->server.model.limits.has_tokenizer = i->has_tokenizer;
    l->server.model.limits.max_prompts =
        (size_t)(l->server.cfg->queue_limit + i->max_seqs);
    l->server.model.limits.defaults = l->server.cfg->model_defaults ? &i->defaults : NULL;
    l->server.model.limits.max_choices = MAX_CHOICES;
    l->server.model.limits.max_answer_tokens = MAX_ANSWER_TOKENS;
    load_template(&l->server.model);
    start_log_plan(i, &l->server.memory);
    start_log_tenants(l->server.keys, i);
    enter(l, SERVER_SERVING);
    report_ready(l);
    process_notify("READY=1");
}

static bool busy(const struct loop *l, uint64_t now_ns)
{
    for (const struct list *n = l->server.conns.next; n != &l->server.conns;
         n = n->next) {
        const struct conn *c = LIST_OF(n, struct conn, at);
        bool young = (double)(now_ns - c->began_ns) / 1e9 < ARRIVAL_SECONDS;
        if (c->whole || c->replied || conn_uploads(c) || young)
            return true;
    }
    return false;
}

/* drain_timeout is over: what a task waits for is answered now, jobs are ended. */
static void abort_all(struct loop *l)
{
    struct err err;
    err_set(&err, ERR_UNAVAILABLE, "the server is shutting down");
    for (struct list *n = l->server.conns.next; n != &l->server.conns; n = n->next) {
        struct conn *c = LIST_OF(n, struct conn, at);
        if (c->task.active) {
            conn_note_fault(c, &err);
            conn_fail(c, &c->fault);
        }
        conn_cancel(c, FINISH_DRAIN);
    }
}

static void move_on(struct loop *l, uint64_t now_ns)
{
    double in_phase = (double)(now_ns - l->phase_ns) / 1e9;
    if (l->server.phase == SERVER_GRACE && in_phase >= l->server.cfg->drain_grace_s) {
        enter(l, SERVER_DRAINING);
        in_phase = 0;
    }
    if (l->server.phase < SERVER_DRAINING)
        return;
    if (l->server.phase == SERVER_DRAINING && !busy(l, now_ns) &&
        in_phase < l->server.cfg->drain_timeout_s && cache_writer_ending(&l->server))
        return;
    if (!busy(l, now_ns) ||
        (l->server.phase == SERVER_ABORTING && in_phase > ABORT_SECONDS)) {
        enter(l, SERVER_OVER);
    } else if (l->server.phase == SERVER_DRAINING &&
               in_phase >= l->server.cfg->drain_timeout_s) {
        abort_all(l);
        enter(l, SERVER_ABORTING);
    }
}

/* ---- callbacks -------------------------------------------------------------- */

/* An event whose job is gone finds no conn. */
static void on_taken(void *arg, uint64_t id, const struct err *err)
{
    struct server *server = arg;
    struct job *j = job_find(&server->jobs, id);
    if (j && err)
        j->conn->ops->refused(j->conn, j, err);
}

static void on_event(void *arg, const struct event *ev)
{
    struct server *server = arg;
    struct job *j = job_find(&server->jobs, ev->request);
    if (j)
        j->conn->ops->event(j->conn, j, ev);
}

static void on_persisted(void *arg, struct engine_lease *state)
{
    cache_writer_take(arg, state);
}

/* Hands everything that the engine reported to the conns that it concerns. */
static void drain(struct loop *l)
{
    bridge_drain(l->server.model.bridge,
                 &(struct bridge_reader){.taken = on_taken,
                                         .event = on_event,
                                         .persisted = on_persisted,
                                         .arg = &l->server});
}

static void on_wake(uv_async_t *a)
{
    struct loop *l = a->data;
    uint64_t woken_ns = atomic_exchange(&l->woken_ns, 0);
    if (woken_ns)
        metrics_time(&l->server.metrics, TIMING_LOOP_DELAY,
                     (double)(server_now() - woken_ns) / 1e9);
    if (l->server.phase == SERVER_OVER)
        return;
    switch (bridge_state(l->server.model.bridge, &l->fault)) {
    case BRIDGE_LOADING:
        return;
    case BRIDGE_FAILED:
        enter(l, SERVER_OVER);
        return;
    case BRIDGE_READY:
        if (l->server.phase == SERVER_LOADING)
            loaded(l);
        drain(l);
    }
}

static void drain_for_tick(struct loop *l)
{
    struct served_model *model = &l->server.model;
    struct bridge_stats now;
    model->drained_idle = bridge_idle(model->bridge);
    bridge_stats(model->bridge, &now);
    model->drained_steps = now.engine.steps;
    drain(l);
    double rows = now.steps.sum_rows -
                  (double)(now.engine.tokens_proposed - now.engine.tokens_accepted);
    admit_measure(&model->admit, rows, server_now());
}

static void on_tick(uv_timer_t *t)
{
    struct loop *l = t->data;
    uint64_t now = server_now();
    if (l->server.phase == SERVER_OVER)
        return;
    drain_for_tick(l);
    reaper_tick(&l->server, now);
    cache_writer_tick(&l->server, now);
    trimmer_tick(&l->server.trimmer, &l->uv, now);
    move_on(l, now);
}

static void notify(void *arg) /* any thread */
{
    struct loop *l = arg;
    unsigned long long none = 0;
    atomic_compare_exchange_strong(&l->woken_ns, &none, server_now());
    uv_async_send(&l->wake);
}

/* Who has words for the state directory has an account there from now on. */
static int limit_states(struct server *server, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; server->storage && i < server->tenants.n && !rc; i++) {
        const struct tenant *t = server->tenants.list[i];
        rc = object_store_limit(server->storage, t->name, t->limits.state_bytes, err);
    }
    return rc;
}

/* Reads the configuration anew and takes from it what may change while serving: the keys
 * and the log level. Whatever is broken, what is in force stays. */
static void reload(struct loop *l)
{
    struct config fresh;
    struct keys *keys = NULL;
    struct err err;
    int rc = config_load(&fresh, l->server.cfg->input, &err);
    if (!rc)
        rc = keys_open(&keys, fresh.api_keys_file, fresh.api_key, &err);
    if (!rc)
        rc = tenant_table_update(&l->server.tenants, keys, server_now(), &err);
    if (!rc)
        rc = limit_states(&l->server, &err);
    if (rc) {
        keys_close(keys);
        log_text(LOG_ERROR, "reload", err.text);
    } else {
        keys_close(l->server.keys);
        l->server.keys = keys;
        log_set_level(fresh.log_level);
        log_line(LOG_INFO, "reload", "\"keys\":%s", keys_asked(keys) ? "true" : "false");
        if (l->server.phase >= SERVER_SERVING)
            start_log_tenants(keys, engine_info(bridge_engine(l->server.model.bridge)));
    }
    config_free(&fresh);
}

static void on_signal(uv_signal_t *s, int signum)
{
    struct loop *l = s->data;
    if (signum == SIGHUP) {
        reload(l);
        return;
    }
    if (l->server.phase >= SERVER_GRACE)
        _exit(EXIT_FAILURE); /* the second signal: now */
    process_notify("STOPPING=1");
    if (l->server.phase == SERVER_LOADING)
        _exit(EXIT_SUCCESS); /* nothing is served yet, and loading cannot be cut short */
    enter(l, SERVER_GRACE);
    move_on(l, server_now());
}

/* ---- opening ---------------------------------------------------------------- */

static int max_connections(const struct config *cfg, struct err *err)
{
    uint64_t files = process_raise_files();
    int most = files > SPARE_FILES ? (int)(files - SPARE_FILES) : 1;
    if (files > MAX_CONNECTIONS + SPARE_FILES)
        most = cfg->max_connections
                   ? (int)(files < 1u << 30 ? files : 1u << 30) - SPARE_FILES
                   : MAX_CONNECTIONS;
    if (cfg->max_connections <= most)
        return cfg->max_connections ? cfg->max_connections : most;
    return err_param(err, ERR_ARGUMENT, "max_connections",
                     "max_connections %d is beyond %d, the limit of open files less %d",
                     cfg->max_connections, most, SPARE_FILES);
}

static int open_http(struct loop *l, struct err *err)
{
    int n = max_connections(l->server.cfg, err);
    if (n < 0)
        return n;
    struct http_options o = {
        .host = l->server.cfg->host,
        .port = l->server.cfg->port,
        .max_connections = n,
        .per_address = l->server.cfg->connections_per_address,
        .trusted = &l->server.trusted,
        .limits = {l->server.cfg->max_uri_bytes, l->server.cfg->max_header_bytes},
        .keepalive_idle_s = l->server.cfg->keepalive_idle_s,
        .head_timeout_s = l->server.cfg->body_timeout_s,
        .budget = &l->server.budget,
        .owner = &conn_owner,
        .owner_arg = &l->server};
    return http_open(&l->server.http, &l->uv, &o, err);
}

static int open_bridge(struct loop *l, struct err *err)
{
    struct bridge_options o = {
        .max_text_bytes = l->server.cfg->max_body_bytes, .notify = notify, .arg = l};
    config_engine_options(l->server.cfg, &o.engine);
    o.engine.reserved_bytes = request_memory_reserved(&l->server.memory);
    return bridge_open(&l->server.model.bridge, &o, err);
}

static void open_handles(struct loop *l)
{
    static const int signums[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    uv_async_init(&l->uv, &l->wake, on_wake);
    uv_timer_init(&l->uv, &l->tick);
    l->wake.data = l->tick.data = l;
    uv_timer_start(&l->tick, on_tick, REAPER_TICK_MS, REAPER_TICK_MS);
    for (int i = 0; i < N_SIGNALS; i++) {
        uv_signal_init(&l->uv, &l->signals[i]);
        l->signals[i].data = l;
        uv_signal_start(&l->signals[i], on_signal, signums[i]);
    }
    l->handles_open = true;
}

static bool loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static int open_states(struct loop *l, struct err *err)
{
    const struct config *cfg = l->server.cfg;
    struct object_store_options o = {
        .dir = cfg->state_dir,
        .object_bytes = cfg->state_max_object_bytes,
        .limits = {cfg->state_tenant_bytes, cfg->state_total_bytes}};
    if (!cfg->state_dir[0])
        return 0;
    setenv("UV_THREADPOOL_SIZE", "8", 0); /* a slow disk leaves some for tokenising */
    task_limit_init(&l->server.disk_limit, 0);
    int rc = object_store_open(&l->directory, &o, err);
    if (rc == 0)
        l->server.storage = &l->directory;
    l->server.model.limits.has_states = l->server.storage != NULL;
    if (rc == 0)
        cache_writer_open(&l->server);
    return rc;
}

static int open_trusted(struct loop *l, struct err *err)
{
    const struct option_list *texts = &l->server.cfg->trusted_peers;
    int rc = address_list_parse(&l->server.trusted, texts->items, texts->n, err);
    return rc ? err_prefix(err, "trusted_peers") : 0;
}

static int open_keys(struct loop *l, struct err *err)
{
    struct server *server = &l->server;
    int rc = tenant_table_open(&server->tenants, err);
    if (!rc)
        rc = keys_open(&server->keys, server->cfg->api_keys_file, server->cfg->api_key,
                       err);
    return rc ? rc
              : tenant_table_update(&server->tenants, server->keys, server_now(), err);
}

static int open_memory(struct loop *l, struct err *err)
{
    struct request_memory *m = &l->server.memory;
    int rc = request_memory_plan(m, l->server.cfg, err);
    if (!rc)
        l->server.budget.limit = m->limit_bytes - m->tree_bytes;
    return rc;
}

static int open_all(struct loop *l, struct err *err)
{
    int rc = open_memory(l, err);
    if (!rc)
        rc = open_trusted(l, err);
    if (!rc)
        rc = open_keys(l, err);
    if (!rc)
        rc = open_states(l, err);
    if (!rc)
        rc = limit_states(&l->server, err);
    if (!rc)
        rc = served_template_open(&l->server.model.template, l->server.cfg, err);
    if (!rc)
        rc = open_http(l, err);
    if (rc)
        return rc;
    open_handles(l);
    log_line(LOG_INFO, "listening", "\"host\":\"%s\",\"port\":%d", l->server.cfg->host,
             http_port(l->server.http));
    if (!keys_asked(l->server.keys) && !loopback(l->server.cfg->host))
        log_text(LOG_WARN, "no_keys", "serving a non-loopback address without API keys");
    rc = watchdog_open(&l->watchdog, &l->uv, l->server.cfg->watchdog_s, err);
    return rc ? rc : open_bridge(l, err);
}

/* ---- closing ---------------------------------------------------------------- */

static void close_handles(struct loop *l)
{
    if (!l->handles_open)
        return;
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->tick, NULL);
    for (int i = 0; i < N_SIGNALS; i++)
        uv_close((uv_handle_t *)&l->signals[i], NULL);
}

static bool encoding(const struct loop *l)
{
    for (const struct list *n = l->server.conns.next; n != &l->server.conns; n = n->next)
        if (LIST_OF(n, struct conn, at)->task.active)
            return true;
    return cache_writer_active(&l->server) || l->server.trimmer.task.active;
}

/* After the engine is gone nothing is owed to the conns that are left. */
static void free_conns(struct loop *l)
{
    struct list *next;
    for (struct list *n = l->server.conns.next; n != &l->server.conns; n = next) {
        next = n->next;
        struct conn *c = LIST_OF(n, struct conn, at);
        c->pending = 0;
        conn_release(c);
    }
}

static void close_all(struct loop *l)
{
    watchdog_close(&l->watchdog); /* from here on the loop waits for the engine */
    http_close(l->server.http);
    while (encoding(l)) /* the workers use the engine */
        uv_run(&l->uv, UV_RUN_ONCE);
    bridge_close(l->server.model.bridge);
    served_template_close(&l->server.model.template);
    close_handles(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    free_conns(l);
    job_table_free(&l->server.jobs);
    keys_close(l->server.keys);
    address_list_free(&l->server.trusted);
    tenant_table_close(&l->server.tenants);
    cache_writer_close(&l->server);
    if (l->server.storage)
        object_store_close(l->server.storage);
    uv_loop_close(&l->uv);
}

/* Before anything is open. */
static void init(struct loop *l, const struct config *cfg, server_routes_fn *routes)
{
    struct server *server = &l->server;
    *l = (struct loop){.start_ns = server_now()};
    list_init(&server->conns);
    server->cfg = cfg;
    server->routes = routes;
    server->uv = &l->uv;
    task_limit_init(&server->large_limit, 1);
    task_limit_init(&server->render_limit, MAX_RENDERS);
    server->model.limits.served_name = cfg->served_name.items[0];
    server->model.limits.other_names = cfg->served_name.items + 1;
    server->model.limits.n_other_names = cfg->served_name.n - 1;
    server->model.admit.queue_limit = cfg->queue_limit;
    server->model.created = time(NULL);
}

int loop_run(const struct config *cfg, server_routes_fn *routes, struct err *err)
{
    struct loop l;
    init(&l, cfg, routes);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit is an error, not the end */
    if (uv_loop_init(&l.uv))
        return err_set(err, ERR_INTERNAL, "no event loop");
    if (open_all(&l, &l.fault) == 0)
        uv_run(&l.uv, UV_RUN_DEFAULT);
    close_all(&l);
    if (l.fault.code)
        *err = l.fault;
    return -(int)l.fault.code;
}
