/* Hash maps with linear probing, at most half full. Built by one owner, then read by any
 * thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/base/map.h"

#include "engine/base/hash.h"
#include "engine/base/mem.h"

#include <string.h>

static size_t pow2_above(size_t n)
{
    size_t cap = 16;
    while (cap < n * 2)
        cap *= 2;
    return cap;
}

static size_t mix(uint64_t key, size_t cap)
{
    key ^= key >> 32;
    key *= 0x9E3779B97F4A7C15u;
    return (size_t)(key >> 32) & (cap - 1);
}

bool map64_init(struct map64 *m, size_t n_expected)
{
    size_t cap = pow2_above(n_expected);
    *m = (struct map64){.keys = mem_alloc(cap * sizeof *m->keys),
                        .values = mem_alloc(cap * sizeof *m->values),
                        .cap = cap};
    if (!m->keys || !m->values) {
        map64_free(m);
        return false;
    }
    memset(m->keys, 0xFF, cap * sizeof *m->keys);
    return true;
}

void map64_free(struct map64 *m)
{
    mem_free(m->keys);
    mem_free(m->values);
    *m = (struct map64){0};
}

static bool map64_double(struct map64 *m)
{
    struct map64 bigger;
    if (!map64_init(&bigger, m->cap))
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->keys[i] != UINT64_MAX)
            map64_put(&bigger, m->keys[i], m->values[i]);
    map64_free(m);
    *m = bigger;
    return true;
}

bool map64_put(struct map64 *m, uint64_t key, int32_t value)
{
    if (m->n * 2 >= m->cap && !map64_double(m))
        return false;
    size_t i = mix(key, m->cap);
    while (m->keys[i] != UINT64_MAX && m->keys[i] != key)
        i = (i + 1) & (m->cap - 1);
    m->n += m->keys[i] == UINT64_MAX;
    m->keys[i] = key;
    m->values[i] = value;
    return true;
}

int32_t map64_get(const struct map64 *m, uint64_t key, int32_t absent)
{
    if (!m->cap)
        return absent;
    size_t i = mix(key, m->cap);
    while (m->keys[i] != UINT64_MAX) {
        if (m->keys[i] == key)
            return m->values[i];
        i = (i + 1) & (m->cap - 1);
    }
    return absent;
}

bool strmap_init(struct strmap *m, size_t n_expected)
{
    size_t cap = pow2_above(n_expected);
    *m = (struct strmap){.slots = mem_zalloc(cap, sizeof *m->slots), .cap = cap};
    return m->slots != NULL;
}

void strmap_free(struct strmap *m)
{
    mem_free(m->slots);
    *m = (struct strmap){0};
}

static struct strmap_entry *find(const struct strmap *m, const char *s, size_t len)
{
    size_t i = (size_t)hash_bytes(s, len) & (m->cap - 1);
    while (m->slots[i].s) {
        if (m->slots[i].len == len && memcmp(m->slots[i].s, s, len) == 0)
            break;
        i = (i + 1) & (m->cap - 1);
    }
    return &m->slots[i];
}

static bool strmap_double(struct strmap *m)
{
    struct strmap bigger;
    if (!strmap_init(&bigger, m->cap))
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].s)
            strmap_put(&bigger, m->slots[i].s, m->slots[i].len, m->slots[i].value);
    strmap_free(m);
    *m = bigger;
    return true;
}

bool strmap_put(struct strmap *m, const char *s, size_t len, int32_t value)
{
    if (len > UINT32_MAX || (m->n * 2 >= m->cap && !strmap_double(m)))
        return false;
    struct strmap_entry *slot = find(m, s, len);
    m->n += slot->s == NULL;
    *slot = (struct strmap_entry){.s = s, .len = (uint32_t)len, .value = value};
    return true;
}

int32_t strmap_get(const struct strmap *m, const char *s, size_t len, int32_t absent)
{
    if (!m->cap)
        return absent;
    const struct strmap_entry *slot = find(m, s, len);
    return slot->s ? slot->value : absent;
}
