/*
 * Eviction at its largest: 16,384 checkpoints, and a state directory of 100,000 persisted
 * prefixes and 10,000 objects.
 *
 *     bench_evict [DIR]      DIR: where the files are made and removed again; /tmp
 *
 * Prints a line for each measure: what, how often, microseconds each. Figures are in
 * NOTES.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "engine/state/prefix.h"
#include "server/storage/object_writer.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    CHECKPOINTS = 16384,
    TOKENS = 64,
    SHARED = 48, /* of these, by all conversations that begin alike */
    TOPICS = 64,
    PREFIXES = 100000,
    OBJECTS = 9000,
    SAVES = 50
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void report(const char *what, int n, double since)
{
    printf("%-44s %7d x %10.2f us\n", what, n, (seconds() - since) * 1e6 / n);
    fflush(stdout);
}

static void die(const char *what)
{
    fprintf(stderr, "bench_evict: %s\n", what);
    exit(1);
}

/* ---- checkpoints ------------------------------------------------------------ */

static struct slots slots;
static struct pages pages;
static struct prefix prefix;

/* The i-th conversation: its end becomes a checkpoint, made room for as at an admission. */
static void converse(int i)
{
    int32_t ids[TOKENS], table[TOKENS / PAGE_TOKENS];
    for (int t = 0; t < TOKENS; t++)
        ids[t] = t < SHARED ? i % TOPICS : i;
    struct prefix_path path = {.key = {"", 1, 1}, .tokens = ids, .n = TOKENS};
    if (!prefix_room(&prefix, 1, TOKENS / PAGE_TOKENS, -1))
        die("no room");
    int32_t slot = slots_take(&slots);
    pages_reserve(&pages, TOKENS / PAGE_TOKENS);
    for (int p = 0; p < TOKENS / PAGE_TOKENS; p++)
        table[p] = pages_take(&pages);
    if (!prefix_adopt(&prefix, &path, PREFIX_ANSWER, slot, table))
        die("no checkpoint");
    for (int p = 0; p < TOKENS / PAGE_TOKENS; p++)
        pages_drop(&pages, table[p]);
}

static void bench_checkpoints(void)
{
    int n_pages = CHECKPOINTS * (TOKENS / PAGE_TOKENS);
    struct prefix_options o = {.n_nodes = prefix_nodes(CHECKPOINTS, n_pages, TOKENS)};
    if (slots_open(&slots, CHECKPOINTS, 64, NULL) ||
        pages_open(&pages, n_pages, 64, NULL) ||
        prefix_open(&prefix, &o, &slots, &pages, NULL))
        die("out of memory");
    double since = seconds();
    for (int i = 0; i < CHECKPOINTS; i++)
        converse(i);
    report("checkpoints: made while there is room", CHECKPOINTS, since);
    since = seconds();
    for (int i = 0; i < CHECKPOINTS; i++)
        converse(CHECKPOINTS + i);
    report("checkpoints: admission that evicts one", CHECKPOINTS, since);
    since = seconds();
    prefix_clear(&prefix);
    report("checkpoints: all cleared, each", CHECKPOINTS, since);
    prefix_close(&prefix);
    pages_close(&pages);
    slots_close(&slots);
}

/* ---- the state directory ---------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void make_file(const char *dir, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 4096))
        die("a file cannot be made");
    close(fd);
}

static void make_files(const char *root)
{
    static const char *const dirs[] = {"", "/t-a", "/p-a", "/p-a/s-"};
    char dir[512], name[64];
    for (int i = 0; i < 4; i++) {
        snprintf(dir, sizeof dir, "%s%s", root, dirs[i]);
        mkdir(dir, 0700);
    }
    for (int i = 0; i < PREFIXES; i++) {
        unsigned long long hash = (unsigned long long)(i + 1) * 0x9E3779B97F4A7C15u;
        snprintf(name, sizeof name, "%d-%016llx", 1 + i % 4096, hash);
        make_file(dir, name);
    }
    snprintf(dir, sizeof dir, "%s/t-a", root);
    for (int i = 0; i < OBJECTS; i++) {
        snprintf(name, sizeof name, "n%d", i);
        make_file(dir, name);
    }
}

static void save(const struct object_store *s, uint64_t bytes)
{
    struct object_writer w;
    struct err err;
    if (object_writer_begin(s, &w, "a", "x", bytes, &err))
        die(err.text);
    object_writer_abandon(&w);
}

static void bench_directory(const char *root)
{
    static int32_t ids[4096];
    struct object_store s;
    struct err err;
    struct disk_cache_place place;
    uint64_t all = 4096ull * (PREFIXES + OBJECTS);
    struct object_store_options o = {.dir = root, .limits = {all + 8192, all + 8192}};
    double since = seconds();
    if (object_store_open(&s, &o, &err))
        die(err.text);
    report("directory: opened", 1, since);
    since = seconds();
    for (int i = 0; i < SAVES; i++)
        save(&s, 4096);
    report("directory: an object begun and given up", SAVES, since);
    since = seconds();
    for (int i = 0; i < SAVES; i++)
        disk_cache_find(s.cache, "a", "", ids, 4096, &place);
    report("directory: look-up of 4,096 tokens", SAVES, since);
    since = seconds();
    save(&s, 4096ull * PREFIXES / 2);
    report("directory: half of the prefixes give way, each", PREFIXES / 2, since);
    object_store_close(&s);
}

int main(int argc, char **argv)
{
    char root[256];
    snprintf(root, sizeof root, "%.200s/ssmd-evict-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    bench_checkpoints();
    if (!mkdtemp(root))
        die("no directory");
    make_files(root);
    bench_directory(root);
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
