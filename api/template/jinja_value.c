/*
 * Lists that grow and dicts that keep the order of insertion. A dict of few entries is
 * searched from its begin; a larger one has a table of slots beside its entries.
 *
 * Runs on the render's thread. The subtle point is Python's equality of keys: 1, 1.0 and
 * True are one key, so equal numbers hash alike whatever their kind.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "api/template/jinja_value.h"

#include "engine/base/hash.h"

#include <string.h>

enum { DICT_SMALL = 8, KEY_DEPTH = 16 };

struct jinja_value jinja_none(void)
{
    return (struct jinja_value){.kind = JINJA_NONE};
}

struct jinja_value jinja_bool(bool truth)
{
    return (struct jinja_value){.kind = JINJA_BOOL, .truth = truth};
}

struct jinja_value jinja_int(int64_t integer)
{
    return (struct jinja_value){.kind = JINJA_INT, .integer = integer};
}

struct jinja_value jinja_real(double real)
{
    return (struct jinja_value){.kind = JINJA_REAL, .real = real};
}

struct jinja_value jinja_text(struct arena *a, const char *text, size_t len,
                              uint16_t mark)
{
    struct jinja_string *s = arena_alloc(a, sizeof *s);
    if (!s)
        return (struct jinja_value){0};
    *s = (struct jinja_string){.text = text, .len = len, .mark = mark};
    return (struct jinja_value){.kind = JINJA_STRING, .string = s};
}

struct jinja_value jinja_list(struct arena *a)
{
    struct jinja_list *list = arena_zalloc(a, 1, sizeof *list);
    return list ? (struct jinja_value){.kind = JINJA_LIST, .list = list}
                : (struct jinja_value){0};
}

/* A larger copy of what an array holds; the old one stays in the arena. */
static void *grow(struct arena *a, const void *old, size_t n, size_t size, size_t *cap)
{
    size_t want = *cap ? 2 * *cap : 4, bytes;
    if (__builtin_mul_overflow(want, size, &bytes))
        return NULL;
    void *p = arena_alloc(a, bytes);
    if (p && n > 0)
        memcpy(p, old, n * size);
    if (p)
        *cap = want;
    return p;
}

bool jinja_list_add(struct arena *a, struct jinja_list *list, struct jinja_value v)
{
    if (list->n == list->cap) {
        void *items = grow(a, list->items, list->n, sizeof v, &list->cap);
        if (!items)
            return false;
        list->items = items;
    }
    list->items[list->n++] = v;
    return true;
}

size_t jinja_list_len(const struct jinja_list *list)
{
    return list->n;
}

struct jinja_value jinja_list_at(const struct jinja_list *list, size_t i)
{
    return list->items[i];
}

static bool hashable(struct jinja_value key, int depth)
{
    if (key.kind != JINJA_TUPLE)
        return key.kind <= JINJA_STRING;
    for (size_t i = 0; i < key.list->n; i++)
        if (depth == 0 || !hashable(key.list->items[i], depth - 1))
            return false;
    return true;
}

bool jinja_hashable(struct jinja_value key)
{
    return hashable(key, KEY_DEPTH);
}

static bool is_whole(double x)
{
    return x >= -0x1p63 && x < 0x1p63 && (double)(int64_t)x == x;
}

static uint64_t hash_real(double x)
{
    if (!is_whole(x))
        return hash_bytes(&x, sizeof x);
    int64_t whole = (int64_t)x;
    return hash_bytes(&whole, sizeof whole);
}

static uint64_t hash_key(struct jinja_value key)
{
    uint64_t h = 0;
    int64_t whole = key.kind == JINJA_BOOL ? key.truth : key.integer;
    switch (key.kind) {
    case JINJA_STRING:
        return hash_bytes(key.string->text, key.string->len);
    case JINJA_BOOL:
    case JINJA_INT:
        return hash_bytes(&whole, sizeof whole);
    case JINJA_REAL:
        return hash_real(key.real);
    case JINJA_TUPLE:
        for (size_t i = 0; i < key.list->n; i++)
            h = h * 31 + hash_key(key.list->items[i]);
        return h;
    default:
        return 0;
    }
}

static bool is_integral(struct jinja_value v)
{
    return v.kind == JINJA_BOOL || v.kind == JINJA_INT;
}

static bool same_number(struct jinja_value a, struct jinja_value b)
{
    int64_t x = a.kind == JINJA_BOOL ? a.truth : a.integer;
    int64_t y = b.kind == JINJA_BOOL ? b.truth : b.integer;
    if (is_integral(a) && is_integral(b))
        return x == y;
    if (a.kind == JINJA_REAL && b.kind == JINJA_REAL)
        return a.real == b.real;
    double real = a.kind == JINJA_REAL ? a.real : b.real;
    return is_whole(real) && (int64_t)real == (a.kind == JINJA_REAL ? y : x);
}

static bool is_number(struct jinja_value v)
{
    return is_integral(v) || v.kind == JINJA_REAL;
}

/* Of hashable keys. */
static bool same_key(struct jinja_value a, struct jinja_value b)
{
    if (is_number(a) && is_number(b))
        return same_number(a, b);
    if (a.kind != b.kind)
        return false;
    if (a.kind == JINJA_STRING)
        return a.string->len == b.string->len &&
               memcmp(a.string->text, b.string->text, a.string->len) == 0;
    if (a.kind != JINJA_TUPLE)
        return true;
    if (a.list->n != b.list->n)
        return false;
    for (size_t i = 0; i < a.list->n; i++)
        if (!same_key(a.list->items[i], b.list->items[i]))
            return false;
    return true;
}

struct jinja_value jinja_dict(struct arena *a)
{
    struct jinja_dict *d = arena_zalloc(a, 1, sizeof *d);
    return d ? (struct jinja_value){.kind = JINJA_DICT, .dict = d}
             : (struct jinja_value){0};
}

/* Slots are spread by where this program was loaded: a client cannot choose keys that
 * share one, short of keys that share the whole hash. */
static size_t slot_of(const struct jinja_dict *d, uint64_t hash)
{
    static const char anchor;
    uint64_t odd = (uint64_t)(uintptr_t)&anchor * 0x9E3779B97F4A7C15u | 1;
    return (size_t)((hash * odd) >> 32) & (d->n_slots - 1);
}

static struct jinja_entry *find_slot(const struct jinja_dict *d, struct jinja_value key)
{
    uint64_t hash = hash_key(key);
    for (size_t at = slot_of(d, hash); d->slots[at]; at = (at + 1) & (d->n_slots - 1)) {
        struct jinja_entry *e = &d->entries[d->slots[at] - 1];
        if (e->hash == hash && same_key(e->key, key))
            return e;
    }
    return NULL;
}

/* The key is hashable. */
static struct jinja_entry *find(const struct jinja_dict *d, struct jinja_value key)
{
    if (d->slots)
        return find_slot(d, key);
    for (size_t i = 0; i < d->n; i++)
        if (same_key(d->entries[i].key, key))
            return &d->entries[i];
    return NULL;
}

static void take_slot(struct jinja_dict *d, size_t i)
{
    size_t at = slot_of(d, d->entries[i].hash);
    while (d->slots[at])
        at = (at + 1) & (d->n_slots - 1);
    d->slots[at] = (uint32_t)i + 1;
}

/* At most half of the slots are taken. Entries of a small dict have no hash yet. */
static bool spread(struct arena *a, struct jinja_dict *d)
{
    if (d->n >= UINT32_MAX / 4)
        return false;
    d->n_slots = 4 * d->n;
    size_t size = DICT_SMALL;
    while (size < d->n_slots)
        size *= 2;
    d->n_slots = size;
    d->slots = arena_zalloc(a, size, sizeof *d->slots);
    if (!d->slots)
        return false;
    for (size_t i = 0; i < d->n; i++) {
        d->entries[i].hash = hash_key(d->entries[i].key);
        take_slot(d, i);
    }
    return true;
}

static bool add(struct arena *a, struct jinja_dict *d, struct jinja_value key,
                struct jinja_value v)
{
    if (d->n == d->cap) {
        void *entries = grow(a, d->entries, d->n, sizeof *d->entries, &d->cap);
        if (!entries)
            return false;
        d->entries = entries;
    }
    d->entries[d->n] = (struct jinja_entry){.key = key, .value = v};
    d->n++;
    if (d->n <= DICT_SMALL)
        return true;
    if (2 * d->n > d->n_slots)
        return spread(a, d);
    d->entries[d->n - 1].hash = hash_key(key);
    take_slot(d, d->n - 1);
    return true;
}

bool jinja_dict_put(struct arena *a, struct jinja_dict *d, struct jinja_value key,
                    struct jinja_value v)
{
    if (!jinja_hashable(key))
        return false;
    struct jinja_entry *e = find(d, key);
    if (!e)
        return add(a, d, key, v);
    e->value = v;
    return true;
}

bool jinja_dict_set(struct arena *a, struct jinja_dict *d, const char *name,
                    struct jinja_value v)
{
    struct jinja_value key = jinja_text(a, name, strlen(name), 0);
    return key.kind == JINJA_STRING && jinja_dict_put(a, d, key, v);
}

struct jinja_value jinja_dict_get(const struct jinja_dict *d, const char *name,
                                  size_t len)
{
    struct jinja_string text = {.text = name, .len = len};
    struct jinja_value key = {.kind = JINJA_STRING, .string = &text};
    const struct jinja_entry *e = find(d, key);
    return e ? e->value : (struct jinja_value){0};
}

const struct jinja_entry *jinja_dict_find(const struct jinja_dict *d,
                                          struct jinja_value key)
{
    return jinja_hashable(key) ? find(d, key) : NULL;
}

size_t jinja_dict_len(const struct jinja_dict *d)
{
    return d->n;
}

const struct jinja_entry *jinja_dict_at(const struct jinja_dict *d, size_t i)
{
    return &d->entries[i];
}
