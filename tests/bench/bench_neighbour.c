/*
 * Decoding beside a busy neighbour: tokens a second of one sequence alone, beside a
 * process that spins wherever the system puts it, and beside one bound to each processor
 * in turn, in alternation (alone, free, bound, alone, free, bound …).
 *
 *     bench_neighbour [--model DIR | --shape FILE] [--weights q8] [--threads N] [--pin]
 *                     [--rounds 5] [--seconds 1] [--sequences 1]
 *
 * Not a test: it asserts nothing. Medians of the ratios, round by round, are what to
 * quote. The neighbours are processes that wait, stopped, for their turn: they are made
 * before the engine, so that no page of it is shared with them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/engine.h"

#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ROUNDS = 101, MAX_CASES = 4, PROMPT = 32, FREE = -1 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- neighbours ------------------------------------------------------------- */

/* A process that spins when it is continued, on one processor or on any. */
static pid_t neighbour(int processor)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (processor != FREE) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)processor, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    raise(SIGSTOP);
    for (volatile unsigned n = 0;; n++)
        ;
}

struct bench_case {
    char name[32];
    pid_t pid; /* 0: nobody beside */
    double rate[MAX_ROUNDS], ratio[MAX_ROUNDS];
};

/* Alone, beside a free neighbour, beside one on each of the first two processors. */
static int make_cases(struct bench_case *c)
{
    cpu_set_t set;
    int n = 0;
    snprintf(c[n++].name, sizeof c->name, "alone");
    snprintf(c[n].name, sizeof c->name, "neighbour");
    c[n++].pid = neighbour(FREE);
    sched_getaffinity(0, sizeof set, &set);
    for (int i = 0; i < CPU_SETSIZE && n < MAX_CASES; i++) {
        if (!CPU_ISSET((size_t)i, &set))
            continue;
        snprintf(c[n].name, sizeof c->name, "neighbour on %d", i);
        c[n++].pid = neighbour(i);
    }
    for (int i = 1; i < n; i++)
        waitpid(c[i].pid, NULL, WUNTRACED);
    return n;
}

/* ---- the engine ------------------------------------------------------------- */

struct run {
    struct engine *e;
    struct engine_options o;
    int rounds, n_seqs;
    double seconds;
};

static void fail(const struct err *err)
{
    fprintf(stderr, "bench_neighbour: %s\n", err->text);
    exit(1);
}

static void ignore(void *arg, const struct event *ev)
{
    (void)arg;
    (void)ev;
}

static void submit(struct engine *e, uint64_t id, int n_tokens)
{
    int32_t ids[PROMPT];
    struct err err = {0};
    for (int i = 0; i < PROMPT; i++)
        ids[i] = (i * 7919 + (int)id) % engine_info(e)->vocab_size;
    struct engine_request r = {.id = id, .ids = ids, .n_ids = PROMPT};
    r.gen = (struct gen_params){.max_tokens = n_tokens,
                                .top_p = 1,
                                .typical_p = 1,
                                .n = 1,
                                .repetition_penalty = 1,
                                .logprobs = -1,
                                .ignore_eos = true};
    if (engine_submit(e, &r, &err))
        fail(&err);
}

/* Tokens a second, all sequences together; prompts are read before the clock starts. */
static double decode(const struct run *r)
{
    enum { TOKENS = 2000 };
    long tokens = 0;
    for (int i = 0; i < r->n_seqs; i++)
        submit(r->e, (uint64_t)i + 1, TOKENS);
    for (int rows = 0; rows < r->n_seqs * PROMPT;)
        rows += engine_step(r->e, 1);
    double began = now(), t = began;
    for (int rows = 1; rows > 0 && t - began < r->seconds; t = now())
        tokens += rows = engine_step(r->e, 1);
    for (int i = 0; i < r->n_seqs; i++)
        engine_cancel(r->e, (uint64_t)i + 1, FINISH_ABORT);
    return (double)tokens / (t - began);
}

static double beside(const struct run *r, const struct bench_case *c)
{
    static const struct timespec settle = {0, 200000000};
    if (c->pid)
        kill(c->pid, SIGCONT);
    nanosleep(&settle, NULL);
    double rate = decode(r);
    if (c->pid)
        kill(c->pid, SIGSTOP);
    return rate;
}

/* ---- the table -------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *x, int n)
{
    double sorted[MAX_ROUNDS];
    memcpy(sorted, x, (size_t)n * sizeof *x);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return sorted[n / 2];
}

static void measure(const struct run *r, struct bench_case *c, int n)
{
    decode(r); /* warm */
    for (int round = 0; round < r->rounds; round++)
        for (int i = 0; i < n; i++) {
            c[i].rate[round] = beside(r, &c[i]);
            c[i].ratio[round] = c[i].rate[round] / c[0].rate[round];
        }
    for (int i = 0; i < n; i++) {
        double lo = c[i].ratio[0];
        for (int k = 1; k < r->rounds; k++)
            lo = c[i].ratio[k] < lo ? c[i].ratio[k] : lo;
        printf("%-16s %8.1f tok/s  %5.1f %%  (least %5.1f %%)\n", c[i].name,
               median(c[i].rate, r->rounds), 100 * median(c[i].ratio, r->rounds),
               100 * lo);
    }
}

static enum engine_weights format_of(const char *name)
{
    static const char *const names[] = {"own", "f32", "bf16", "q8", "q4"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return (enum engine_weights)i;
    fprintf(stderr, "bench_neighbour: --weights: expected own, f32, bf16, q8 or q4\n");
    exit(1);
}

static void parse(struct run *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"model", 1, NULL, 'm'},   {"shape", 1, NULL, 's'},     {"weights", 1, NULL, 'w'},
        {"threads", 1, NULL, 't'}, {"pin", 0, NULL, 'p'},       {"rounds", 1, NULL, 'r'},
        {"seconds", 1, NULL, 'd'}, {"sequences", 1, NULL, 'n'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (c) {
        case 'm':
            r->o.model_dir = optarg;
            break;
        case 's':
            r->o.shape = optarg;
            r->o.model_dir = NULL;
            break;
        case 'w':
            r->o.weights = format_of(optarg);
            break;
        case 't':
            r->o.n_threads = atoi(optarg);
            break;
        case 'p':
            r->o.pin = true;
            break;
        case 'r':
            r->rounds = atoi(optarg);
            break;
        case 'd':
            r->seconds = atof(optarg);
            break;
        case 'n':
            r->n_seqs = atoi(optarg);
            break;
        default:
            exit(1);
        }
    if (r->rounds < 1 || r->rounds > MAX_ROUNDS || r->n_seqs < 1) {
        fprintf(stderr, "bench_neighbour: expected 1 to %d rounds, 1 sequence or more\n",
                MAX_ROUNDS);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static struct bench_case cases[MAX_CASES];
    struct err err = {0};
    struct run r = {.rounds = 5,
                    .n_seqs = 1,
                    .seconds = 1,
                    .o = {.model_dir = "models/default",
                          .context_tokens = 4096,
                          .no_tokenizer = true,
                          .emit = ignore}};
    parse(&r, argc, argv);
    int n = make_cases(cases);
    if (engine_open(&r.e, &r.o, &err))
        fail(&err);
    const struct engine_info *info = engine_info(r.e);
    printf("%s, %lld parameters, %s, %s, %d threads%s, %d sequences\n", info->arch,
           (long long)info->n_params, info->weights, info->cpu, info->n_threads,
           r.o.pin ? ", bound" : "", r.n_seqs);
    measure(&r, cases, n);
    engine_close(r.e);
    return 0;
}
