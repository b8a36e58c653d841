/*
 * The mailboxes and the engine thread. See bridge.h for who touches what.
 *
 * Each function is marked by its thread through its section. The subtle point: emit runs
 * inside engine_step, where an allocation is fatal, so the outbox's blocks are as large
 * as they will ever be; their untouched pages cost nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/serve/bridge.h"

#include "engine/base/list.h"
#include "engine/base/mem.h"
#include "engine/objects.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { OUTBOX_SPARE = 256 * 1024 };

const double bridge_second_bounds[BRIDGE_STEP_BUCKETS] = {
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075,
    0.01,   0.015,   0.02,   0.03,  0.05,  0.075, 0.1,   0.15,
    0.2,    0.3,     0.5,    0.75,  1.0,   2.0,   5.0,   1e300};
const double bridge_row_bounds[BRIDGE_ROW_BUCKETS] = {
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 1e300};

enum message_kind {
    MESSAGE_SUBMIT,
    MESSAGE_CANCEL,
    MESSAGE_PAUSE,
    MESSAGE_RETURN,
    MESSAGE_PERSIST
};

struct message {
    struct list at;
    enum message_kind kind;
    struct engine_request request; /* SUBMIT; arrays borrowed */
    uint64_t id;
    enum finish_reason why;     /* CANCEL */
    bool paused;                /* PAUSE */
    struct engine_lease *state; /* RETURN */
    bool good;                  /* RETURN; PERSIST: all */
};

struct bridge_reply {
    struct message m; /* first: who frees the one frees the other */
};

enum record_kind { RECORD_TAKEN, RECORD_REFUSED, RECORD_EVENT, RECORD_PERSISTED };

/* One entry of the outbox; a struct err or a struct event and its text follow. */
struct record {
    size_t bytes; /* whole, a multiple of 16 */
    enum record_kind kind;
    uint64_t id;
};

struct block {
    char *data; /* owns, [cap] */
    size_t used;
};

struct bridge {
    struct bridge_options o;
    pthread_t thread;

    pthread_mutex_t in_lock; /* guards inbox, idle, stop */
    pthread_cond_t in_cond;
    struct list inbox;
    bool idle; /* the last step found nothing to do, and nothing has been taken since */
    bool stop;

    pthread_mutex_t out_lock; /* guards filling, closing and which block is which */
    pthread_cond_t out_cond;
    struct block blocks[2];
    size_t block_cap;
    int filling; /* the other one is the loop's */
    bool closing;

    atomic_int state;
    struct err fault;            /* written before state becomes FAILED */
    struct engine *engine;       /* owned by the engine thread; written before READY */
    bool notify_pending;         /* engine thread: events since the last notify */
    struct bridge_steps steps;   /* engine thread: all steps until now */
    atomic_ullong step_began_ns; /* 0 = between steps */

    pthread_mutex_t stats_lock; /* guards stats; held for one copy */
    struct bridge_stats stats;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- outbox: engine thread writes ------------------------------------------- */

static void notify(struct bridge *b)
{
    b->o.notify(b->o.arg);
    b->notify_pending = false;
}

/* Waits until `bytes` fit; returns where they go, with out_lock held, or NULL (lock held
 * too) when the bridge is closing. */
static char *reserve(struct bridge *b, size_t bytes)
{
    assert(bytes <= b->block_cap);
    pthread_mutex_lock(&b->out_lock);
    while (b->blocks[b->filling].used + bytes > b->block_cap && !b->closing) {
        pthread_mutex_unlock(&b->out_lock);
        notify(b);
        pthread_mutex_lock(&b->out_lock);
        if (b->blocks[b->filling].used + bytes > b->block_cap && !b->closing)
            pthread_cond_wait(&b->out_cond, &b->out_lock);
    }
    if (b->closing)
        return NULL;
    char *at = b->blocks[b->filling].data + b->blocks[b->filling].used;
    b->blocks[b->filling].used += bytes;
    return at;
}

static size_t padded(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

static void put(struct bridge *b, const struct record *head, const void *body,
                size_t body_len, const char *text, size_t text_len)
{
    struct record r = *head;
    size_t body_at = padded(sizeof r), text_at = body_at + body_len;
    r.bytes = padded(text_at + text_len);
    char *to = reserve(b, r.bytes);
    if (to) {
        memcpy(to, &r, sizeof r);
        if (body_len)
            memcpy(to + body_at, body, body_len);
        if (text_len)
            memcpy(to + text_at, text, text_len);
    }
    pthread_mutex_unlock(&b->out_lock);
    b->notify_pending = true;
}

static void emit(void *arg, const struct event *ev)
{
    struct record r = {.kind = RECORD_EVENT, .id = ev->request};
    put(arg, &r, ev, sizeof *ev, ev->text, ev->text ? ev->text_len : 0);
}

/* ---- engine thread ---------------------------------------------------------- */

static void take(struct bridge *b, struct message *m)
{
    struct err err = {0};
    switch (m->kind) {
    case MESSAGE_SUBMIT: {
        int rc = engine_submit(b->engine, &m->request, &err);
        struct record r = {.kind = rc ? RECORD_REFUSED : RECORD_TAKEN, .id = m->id};
        put(b, &r, &err, rc ? sizeof err : 0, NULL, 0);
        break;
    }
    case MESSAGE_CANCEL:
        engine_cancel(b->engine, m->id, m->why);
        break;
    case MESSAGE_PAUSE:
        engine_pause(b->engine, m->id, m->paused);
        break;
    case MESSAGE_RETURN:
        engine_lease_release(b->engine, m->state, m->good);
        break;
    case MESSAGE_PERSIST: {
        struct engine_lease *state = engine_persist_next(b->engine, m->good);
        put(b, &(struct record){.kind = RECORD_PERSISTED}, &state, sizeof state, NULL, 0);
        break;
    }
    }
    mem_free(m);
}

/* Moves the inbox to `to`; sleeps first when idle. False: stop. */
static bool collect(struct bridge *b, struct list *to, bool idle)
{
    list_init(to);
    pthread_mutex_lock(&b->in_lock);
    b->idle = idle;
    while (idle && list_empty(&b->inbox) && !b->stop)
        pthread_cond_wait(&b->in_cond, &b->in_lock);
    struct list *n;
    while ((n = list_pop(&b->inbox)))
        list_push(to, n);
    b->idle = false;
    bool go_on = !b->stop;
    pthread_mutex_unlock(&b->in_lock);
    return go_on;
}

/* The engine is asked before the lock is taken: a reader waits for one copy at most. */
static void publish(struct bridge *b)
{
    struct bridge_stats now = {.steps = b->steps};
    engine_stats(b->engine, &now.engine);
    pthread_mutex_lock(&b->stats_lock);
    b->stats = now;
    pthread_mutex_unlock(&b->stats_lock);
}

static int bucket(const double *bounds, int n, double x)
{
    int i = 0;
    while (i < n - 1 && x > bounds[i])
        i++;
    return i;
}

static void record_step(struct bridge_steps *s, uint64_t ns, int rows)
{
    double seconds = (double)ns / 1e9;
    if (rows == 0)
        return;
    s->seconds[bucket(bridge_second_bounds, BRIDGE_STEP_BUCKETS, seconds)]++;
    s->rows[bucket(bridge_row_bounds, BRIDGE_ROW_BUCKETS, rows)]++;
    s->sum_seconds += seconds;
    s->sum_rows += rows;
}

static int step(struct bridge *b)
{
    uint64_t began = now_ns();
    atomic_store_explicit(&b->step_began_ns, began, memory_order_relaxed);
    int rows = engine_step(b->engine, began);
    atomic_store_explicit(&b->step_began_ns, 0, memory_order_relaxed);
    record_step(&b->steps, now_ns() - began, rows);
    return rows;
}

static void serve(struct bridge *b)
{
    struct list mail, *n;
    bool idle = true;
    while (collect(b, &mail, idle)) {
        while ((n = list_pop(&mail)))
            take(b, LIST_OF(n, struct message, at));
        idle = step(b) == 0;
        publish(b);
        if (b->notify_pending)
            notify(b);
    }
    while ((n = list_pop(&mail)))
        mem_free(LIST_OF(n, struct message, at));
}

static void *engine_thread(void *arg)
{
    struct bridge *b = arg;
    b->o.engine.emit = emit;
    b->o.engine.emit_arg = b;
    if (engine_open(&b->engine, &b->o.engine, &b->fault)) {
        atomic_store(&b->state, BRIDGE_FAILED);
        notify(b);
        return NULL;
    }
    publish(b);
    atomic_store(&b->state, BRIDGE_READY);
    notify(b);
    serve(b);
    engine_close(b->engine);
    return NULL;
}

/* ---- loop thread ------------------------------------------------------------ */

static void free_all(struct bridge *b)
{
    struct list *n;
    while ((n = list_pop(&b->inbox)))
        mem_free(LIST_OF(n, struct message, at));
    mem_free(b->blocks[0].data);
    mem_free(b->blocks[1].data);
    pthread_mutex_destroy(&b->in_lock);
    pthread_mutex_destroy(&b->out_lock);
    pthread_mutex_destroy(&b->stats_lock);
    pthread_cond_destroy(&b->in_cond);
    pthread_cond_destroy(&b->out_cond);
    mem_free(b);
}

int bridge_open(struct bridge **out, const struct bridge_options *o, struct err *err)
{
    struct bridge *b = mem_zalloc(1, sizeof *b);
    if (!b)
        return err_set(err, ERR_MEMORY, "out of memory");
    b->o = *o;
    list_init(&b->inbox);
    pthread_mutex_init(&b->in_lock, NULL);
    pthread_mutex_init(&b->out_lock, NULL);
    pthread_mutex_init(&b->stats_lock, NULL);
    pthread_cond_init(&b->in_cond, NULL);
    pthread_cond_init(&b->out_cond, NULL);
    b->block_cap = padded(o->max_text_bytes) + OUTBOX_SPARE;
    b->blocks[0].data = mem_alloc(b->block_cap);
    b->blocks[1].data = mem_alloc(b->block_cap);
    if (!b->blocks[0].data || !b->blocks[1].data) {
        free_all(b);
        return err_set(err, ERR_MEMORY, "out of memory");
    }
    mem_sparse(b->blocks[0].data, b->block_cap);
    mem_sparse(b->blocks[1].data, b->block_cap);
    int rc = pthread_create(&b->thread, NULL, engine_thread, b);
    if (rc) {
        free_all(b);
        return err_set(err, ERR_MEMORY, "the engine thread did not start: %s",
                       strerror(rc));
    }
    *out = b;
    return 0;
}

void bridge_close(struct bridge *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->out_lock);
    b->closing = true;
    pthread_cond_signal(&b->out_cond);
    pthread_mutex_unlock(&b->out_lock);
    pthread_mutex_lock(&b->in_lock);
    b->stop = true;
    pthread_cond_signal(&b->in_cond);
    pthread_mutex_unlock(&b->in_lock);
    pthread_join(b->thread, NULL);
    free_all(b);
}

enum bridge_state bridge_state(const struct bridge *b, struct err *err)
{
    enum bridge_state s = (enum bridge_state)atomic_load(&b->state);
    if (s == BRIDGE_FAILED && err)
        *err = b->fault;
    return s;
}

const struct engine *bridge_engine(const struct bridge *b)
{
    return atomic_load(&b->state) == BRIDGE_READY ? b->engine : NULL;
}

static void send(struct bridge *b, struct message *m)
{
    pthread_mutex_lock(&b->in_lock);
    list_push(&b->inbox, &m->at);
    pthread_cond_signal(&b->in_cond);
    pthread_mutex_unlock(&b->in_lock);
}

static int post(struct bridge *b, const struct message *m, struct err *err)
{
    struct message *copy = mem_alloc(sizeof *copy);
    if (!copy)
        return err_set(err, ERR_MEMORY, "out of memory");
    *copy = *m;
    send(b, copy);
    return 0;
}

int bridge_submit(struct bridge *b, const struct engine_request *r, struct err *err)
{
    return post(b, &(struct message){.kind = MESSAGE_SUBMIT, .id = r->id, .request = *r},
                err);
}

int bridge_cancel(struct bridge *b, uint64_t id, enum finish_reason why)
{
    return post(b, &(struct message){.kind = MESSAGE_CANCEL, .id = id, .why = why}, NULL);
}

int bridge_pause(struct bridge *b, uint64_t id, bool paused)
{
    return post(b, &(struct message){.kind = MESSAGE_PAUSE, .id = id, .paused = paused},
                NULL);
}

int bridge_reply_new(struct bridge_reply **out, struct err *err)
{
    *out = mem_alloc(sizeof **out);
    return *out ? 0 : err_set(err, ERR_MEMORY, "out of memory");
}

void bridge_reply_free(struct bridge_reply *reply)
{
    mem_free(reply);
}

void bridge_release_lease(struct bridge *b, struct bridge_reply *reply,
                          struct engine_lease *state, bool good)
{
    reply->m = (struct message){.kind = MESSAGE_RETURN, .state = state, .good = good};
    send(b, &reply->m);
}

int bridge_persist_next(struct bridge *b, bool all)
{
    return post(b, &(struct message){.kind = MESSAGE_PERSIST, .good = all}, NULL);
}

static void deliver(const struct bridge_reader *r, char *at, const struct record *head)
{
    char *body = at + padded(sizeof *head);
    if (head->kind == RECORD_PERSISTED) {
        r->persisted(r->arg, *(struct engine_lease **)(void *)body);
        return;
    }
    if (head->kind != RECORD_EVENT) {
        r->taken(r->arg, head->id,
                 head->kind == RECORD_REFUSED ? (struct err *)(void *)body : NULL);
        return;
    }
    struct event *ev = (struct event *)(void *)body;
    ev->text = body + sizeof *ev;
    r->event(r->arg, ev);
}

void bridge_drain(struct bridge *b, const struct bridge_reader *r)
{
    pthread_mutex_lock(&b->out_lock);
    struct block *full = &b->blocks[b->filling];
    b->filling ^= 1;
    b->blocks[b->filling].used = 0;
    pthread_cond_signal(&b->out_cond);
    pthread_mutex_unlock(&b->out_lock);

    struct record head;
    for (size_t at = 0; at < full->used; at += head.bytes) {
        memcpy(&head, full->data + at, sizeof head);
        deliver(r, full->data + at, &head);
    }
}

void bridge_stats(struct bridge *b, struct bridge_stats *out)
{
    pthread_mutex_lock(&b->stats_lock);
    *out = b->stats;
    pthread_mutex_unlock(&b->stats_lock);
}

bool bridge_idle(struct bridge *b)
{
    pthread_mutex_lock(&b->in_lock);
    bool idle = b->idle && list_empty(&b->inbox);
    pthread_mutex_unlock(&b->in_lock);
    return idle;
}

bool bridge_stuck(const struct bridge *b, uint64_t limit_ns)
{
    uint64_t began = atomic_load_explicit(&b->step_began_ns, memory_order_relaxed);
    return began && now_ns() - began > limit_ns;
}
