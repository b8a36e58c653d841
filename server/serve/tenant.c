/* The table, and each tenant's bucket.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/tenant.h"

#include "engine/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const int64_t SECOND_NS = 1000000000;

/* ---- the bucket ------------------------------------------------------------- */

static int64_t full_ns(uint64_t now_ns)
{
    return (int64_t)now_ns - TENANT_BURST_SECONDS * SECOND_NS;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The tokens in the bucket, or the debt, are the same at the new rate. */
static void set_limits(struct tenant *t, const struct keys_limits *limits,
                       uint64_t now_ns)
{
    int64_t now = (int64_t)now_ns, full = full_ns(now_ns);
    double debt_ns = (double)(t->zero_ns - now);
    if (t->limits.rate && limits->rate)
        t->zero_ns =
            later(now + (int64_t)(debt_ns * t->limits.rate / limits->rate), full);
    else
        t->zero_ns = full;
    t->limits = *limits;
}

int tenant_check_rate(const struct tenant *t, uint64_t now_ns, int *retry_s,
                      struct err *err)
{
    int64_t debt_ns = t->zero_ns - (int64_t)now_ns;
    if (t->limits.rate == 0 || debt_ns <= 0)
        return 0;
    *retry_s = (int)((debt_ns + SECOND_NS - 1) / SECOND_NS);
    return err_set(err, ERR_BUSY,
                   "this key's limit is %d tokens a second; retry in %d seconds",
                   t->limits.rate, *retry_s);
}

void tenant_charge(struct tenant *t, int tokens, uint64_t now_ns)
{
    if (t->limits.rate == 0)
        return;
    t->zero_ns = later(t->zero_ns, full_ns(now_ns)) + tokens * SECOND_NS / t->limits.rate;
}

int tenant_check_running(const struct tenant *t, int n, struct err *err)
{
    int most = t->limits.running;
    if (most && n > most)
        return err_param(err, ERR_BUDGET, "prompt",
                         "%d prompts in one request; this key's limit is %d at a time", n,
                         most);
    if (most && t->admitted > most - n)
        return err_set(err, ERR_BUSY,
                       "%d of this key's prompts are under way, its limit is %d; retry "
                       "later",
                       t->admitted, most);
    return 0;
}

/* ---- the table -------------------------------------------------------------- */

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, "out of memory for the tenants");
}

int tenant_table_open(struct tenant_table *t, struct err *err)
{
    *t = (struct tenant_table){.anyone.limits = keys_no_limits};
    return strmap_init(&t->names, 16) ? 0 : no_memory(err);
}

void tenant_table_close(struct tenant_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        mem_free(t->list[i]);
    mem_free(t->list);
    strmap_free(&t->names);
    *t = (struct tenant_table){0};
}

static int32_t find(const struct tenant_table *t, const char *name)
{
    return strmap_get(&t->names, name, strlen(name), -1);
}

struct tenant *tenant_find(const struct tenant_table *t, const char *name)
{
    int32_t i = find(t, name);
    assert(i >= 0);
    return t->list[i];
}

static bool reserve(struct tenant_table *t)
{
    if (t->n < t->cap)
        return true;
    size_t cap = t->cap ? 2 * t->cap : 16;
    void *more = mem_grow(t->list, t->n * sizeof *t->list, cap * sizeof *t->list);
    if (!more)
        return false;
    t->list = more;
    t->cap = cap;
    return true;
}

static int add(struct tenant_table *t, const char *name, struct err *err)
{
    struct tenant *a = reserve(t) ? mem_zalloc(1, sizeof *a) : NULL;
    if (!a)
        return no_memory(err);
    snprintf(a->name, sizeof a->name, "%s", name);
    a->limits = keys_no_limits;
    if (!strmap_put(&t->names, a->name, strlen(name), (int32_t)t->n)) {
        mem_free(a);
        return no_memory(err);
    }
    t->list[t->n++] = a;
    return 0;
}

int tenant_table_update(struct tenant_table *t, const struct keys *keys, uint64_t now_ns,
                        struct err *err)
{
    int rc = 0;
    for (const struct keys_tenant *k = keys_tenants(keys); k && !rc; k = k->next)
        if (find(t, k->name) < 0)
            rc = add(t, k->name, err);
    if (rc)
        return rc;
    for (const struct keys_tenant *k = keys_tenants(keys); k; k = k->next)
        set_limits(tenant_find(t, k->name), &k->limits, now_ns);
    return 0;
}
