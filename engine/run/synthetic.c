/* Filling a sequence's slot and pages with values that any model could have made: bounded
 * and finite in the type the page holds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/run/synthetic.h"

#include <string.h>

/* Bits that depend on seed and place only. */
static uint32_t noise(uint32_t seed, uint32_t i)
{
    uint32_t x = (i + seed) * 2654435761u;
    x ^= x >> 15;
    x *= 2246822519u;
    return x ^ x >> 13;
}

/* n floats in [-1, 1). */
static void fill_floats(char *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        float x = (float)(int32_t)noise(seed, (uint32_t)i) * 0x1p-31f;
        memcpy(p + i * sizeof x, &x, sizeof x);
    }
}

/* n halves from 1/16 to 1/8 of either sign. Read as bytes they are 44 to 47 or their
 * like below zero, and any: valid q8 with any place of its scales, too. */
static void fill_halves(char *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t x = noise(seed, (uint32_t)i);
        uint16_t low = x & 0xff, half;
        half = (uint16_t)((x >> 16 & 0x8300) | 0x2c00 | (low == 0x80 ? 0 : low));
        memcpy(p + i * sizeof half, &half, sizeof half);
    }
}

struct fill {
    struct runner *r;
    const struct seq *s;
    uint32_t seed;
};

/* K/V of the model's type. */
static void fill_kv(const struct model *m, char *p, size_t bytes, uint32_t seed)
{
    if (m->kv == ENGINE_KV_F32)
        fill_floats(p, bytes / sizeof(float), seed);
    else
        fill_halves(p, bytes / sizeof(uint16_t), seed);
}

/* Task i < n_pages is a page, the last one the slot. */
static void fill_part(void *arg, int task, int thread)
{
    (void)thread;
    const struct fill *f = arg;
    const struct runner *r = f->r;
    const struct model *m = r->model;
    uint32_t seed = f->seed + (uint32_t)task * 40503u;
    if (task == f->s->n_pages) {
        char *slot = slots_at(&r->slots, f->s->slot);
        fill_floats(slot, m->rings_at / sizeof(float), seed);
        fill_kv(m, slot + m->rings_at, m->ring_bytes, ~seed);
        return;
    }
    size_t bytes = r->pages.page_bytes;
    fill_kv(m, r->pages.base + (size_t)f->s->pages[task] * bytes, bytes, seed);
}

void synthetic_start(struct runner *r, struct request *q)
{
    struct seq *s = &q->seqs[0];
    int need = r->pages.page_bytes ? seq_pages(q->n_synthetic) : 0;
    for (; s->n_pages < need; s->n_reserved--)
        s->pages[s->n_pages++] = pages_take(&r->pages);
    s->n_run = q->n_synthetic;
    struct fill f = {r, s, (uint32_t)q->id * 97u + (uint32_t)q->n_synthetic};
    pool_run(r->gemm.pool, fill_part, &f, need + 1);
}
