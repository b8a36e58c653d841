/* Sizing the pools. Reads /proc/meminfo and the cgroup's files, at open only. */
#include "engine/state/plan.h"

#include "engine/kernel/kernel.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t meminfo_available(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    char line[256];
    unsigned long long kb = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return (size_t)kb * 1024;
}

/* A number from a one-line file; SIZE_MAX when it says "max" or cannot be read. */
static size_t read_bytes(const char *path)
{
    FILE *f = fopen(path, "r");
    unsigned long long x = 0;
    bool ok = f && fscanf(f, "%llu", &x) == 1;
    if (f)
        fclose(f);
    return ok ? (size_t)x : SIZE_MAX;
}

static size_t cgroup_available(void)
{
    static const char *const files[][2] = {
        {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes",
         "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t limit = read_bytes(files[i][0]), used = read_bytes(files[i][1]);
        if (limit != SIZE_MAX && used != SIZE_MAX)
            return limit > used ? limit - used : 1;
    }
    return SIZE_MAX;
}

size_t plan_available(void)
{
    size_t machine = meminfo_available(), group = cgroup_available();
    return machine < group ? machine : group;
}

static size_t mib(size_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

int plan_make(struct plan *p, const struct plan_ask *ask, size_t available,
              struct err *err)
{
    size_t slots = (size_t)ask->max_seqs * ask->slot_bytes;
    int per_seq = (ask->context + PAGE_TOKENS - 1) / PAGE_TOKENS;
    size_t wanted = slots + (size_t)ask->max_seqs * (size_t)per_seq * ask->page_bytes;
    size_t half = available ? available / 2 : wanted;
    size_t budget = ask->budget ? ask->budget : wanted < half ? wanted : half;
    if (available && ask->budget && budget > available)
        return err_param(
            err, ERR_BUDGET, "memory_bytes",
            "memory plan: %zu MiB for slots and pages exceed the %zu MiB that "
            "this machine or cgroup has available beside %zu MiB of weights",
            mib(budget), mib(available), mib(ask->fixed));
    size_t least = slots + ask->page_bytes;
    if (budget < least)
        return err_param(
            err, ERR_BUDGET, "memory_bytes",
            "memory plan: expected at least %zu MiB (%d slots of %zu KiB and one "
            "page of %zu KiB), found %zu MiB; lower max_seqs or raise memory_bytes",
            mib(least), ask->max_seqs, ask->slot_bytes >> 10, ask->page_bytes >> 10,
            mib(budget));
    size_t most = (size_t)ask->max_seqs * (size_t)per_seq;
    size_t fits = ask->page_bytes ? (budget - slots) / ask->page_bytes : 0;
    p->n_slots = ask->max_seqs;
    p->n_pages = (int)(fits < most ? fits : most);
    p->bytes = slots + (size_t)p->n_pages * ask->page_bytes;
    bool whole = !ask->page_bytes || p->n_pages >= per_seq;
    p->longest_tokens = whole ? ask->context : p->n_pages * PAGE_TOKENS;
    return 0;
}
