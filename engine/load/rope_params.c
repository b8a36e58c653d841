/* Reads RoPE parameters. rope_parameters is the newer name of rope_scaling; its rope_theta
 * and partial_rotary_factor win over the top level's. Opening thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/hparams.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_words[] = {"default", "linear",   "llama3", "dynamic",
                                         "yarn",    "longrope", NULL};

struct rope_key {
    const char *name;
    size_t offset;
    double min;
    unsigned kinds;    /* bit per rope_kind that honours the key */
    unsigned required; /* bit per rope_kind that requires it */
};

#define ROPE_KEY(n, f, min, kinds, need)                                                 \
    {                                                                                    \
        n, offsetof(struct rope_params, f), min, kinds, need                             \
    }
#define BIT(k) (1u << (k))

static const struct rope_key rope_keys[] = {
    ROPE_KEY("rope_theta", theta, 1, ~0u, 0),
    ROPE_KEY("factor", factor, 1e-6, ~BIT(ROPE_DEFAULT),
             BIT(ROPE_LINEAR) | BIT(ROPE_LLAMA3) | BIT(ROPE_DYNAMIC) | BIT(ROPE_YARN)),
    ROPE_KEY("original_max_position_embeddings", original, 1, ~0u, 0),
    ROPE_KEY("low_freq_factor", low_freq_factor, 1e-9, BIT(ROPE_LLAMA3),
             BIT(ROPE_LLAMA3)),
    ROPE_KEY("high_freq_factor", high_freq_factor, 1e-9, BIT(ROPE_LLAMA3),
             BIT(ROPE_LLAMA3)),
    ROPE_KEY("beta_fast", beta_fast, 1e-9, BIT(ROPE_YARN), 0),
    ROPE_KEY("beta_slow", beta_slow, 1e-9, BIT(ROPE_YARN), 0),
    ROPE_KEY("attention_factor", attention_factor, 1e-9, BIT(ROPE_YARN) | BIT(ROPE_LONG),
             0),
};
enum { N_ROPE_KEYS = sizeof rope_keys / sizeof *rope_keys };

static const struct rope_key *key_of(const char *key)
{
    for (int i = 0; i < N_ROPE_KEYS; i++)
        if (strcmp(rope_keys[i].name, key) == 0)
            return &rope_keys[i];
    return NULL;
}

/* A set of parameters and where it stands. */
struct reader {
    const struct hparams *h;
    struct rope_params *r;
    const char *name; /* of the object, e.g. rope_scaling */
    struct err *err;
};

/* The share of a head that is rotated: 1 but where the family has a share. */
static int read_partial(struct rope_params *r, const struct hparam_family *f,
                        const char *path, const struct json *v, struct err *err)
{
    double x;
    if (!f->partial)
        return json_as_number(v) == 1 ? 0 : hparams_wrong(err, path, "1", v);
    if (!hparams_number(v, &x) || !(x > 0 && x <= 1))
        return hparams_wrong(err, path, "a number above 0, at most 1", v);
    r->partial = x;
    return 0;
}

/* One member of the object, whose rope_type was read before. */
static int read_member(void *arg, const char *key, size_t len, const struct json *v)
{
    (void)len;
    struct reader *x = arg;
    char path[128];
    snprintf(path, sizeof path, "%s.%.60s", x->name, key);
    if (strcmp(key, "rope_theta") == 0)
        x->r->theta_null = json_kind(v) == JK_NULL;
    if (strcmp(key, "rope_type") == 0 || strcmp(key, "type") == 0 ||
        json_kind(v) == JK_NULL)
        return 0;
    if (x->h->family->of_transformers && strncmp(key, "mrope_", 6) == 0)
        return 0;
    if (strcmp(key, "partial_rotary_factor") == 0)
        return read_partial(x->r, x->h->family, path, v, x->err);
    bool is_short = strcmp(key, "short_factor") == 0;
    if (x->r->kind == ROPE_LONG && (is_short || strcmp(key, "long_factor") == 0)) {
        if (json_kind(v) != JK_ARRAY)
            return hparams_wrong(x->err, path, "an array of numbers", v);
        *(is_short ? &x->r->short_factor : &x->r->long_factor) = v;
        return 0;
    }
    const struct rope_key *k = key_of(key);
    if (!k || !(k->kinds & BIT(x->r->kind)))
        return err_set(x->err, ERR_FORMAT, "%s: not known for rope type \"%s\"", path,
                       kind_words[x->r->kind]);
    if (!json_numeric(v) || !(json_as_number(v) >= k->min) ||
        !isfinite(json_as_number(v)))
        return hparams_wrong(x->err, path, "a positive number", v);
    *(double *)((char *)x->r + k->offset) = json_as_number(v);
    return 0;
}

static int check(const struct rope_params *r, const char *name, struct err *err)
{
    for (int i = 0; i < N_ROPE_KEYS; i++)
        if ((rope_keys[i].required & BIT(r->kind)) &&
            *(const double *)((const char *)r + rope_keys[i].offset) == 0)
            return err_set(err, ERR_FORMAT, "%s.%s: expected a number for \"%s\"", name,
                           rope_keys[i].name, kind_words[r->kind]);
    if (r->kind == ROPE_LONG && (!r->short_factor || !r->long_factor))
        return err_set(err, ERR_FORMAT, "%s: longrope needs short_factor and long_factor",
                       name);
    if (r->kind == ROPE_LLAMA3 && !(r->high_freq_factor > r->low_freq_factor))
        return err_set(
            err, ERR_FORMAT,
            "%s.high_freq_factor: expected more than low_freq_factor %g, found %g", name,
            r->low_freq_factor, r->high_freq_factor);
    return 0;
}

static int read_kind(struct rope_params *r, const char *name, const struct json *o,
                     struct err *err)
{
    const struct json *type = json_get(o, "rope_type");
    char path[96];
    if (json_kind(type) <= JK_NULL)
        type = json_get(o, "type");
    if (json_kind(type) <= JK_NULL)
        return 0;
    snprintf(path, sizeof path, "%s.rope_type", name);
    for (int i = 0; kind_words[i]; i++)
        if (json_kind(type) == JK_STRING &&
            strcmp(json_as_string(type, NULL), kind_words[i]) == 0) {
            r->kind = (enum rope_kind)i;
            return 0;
        }
    return hparams_wrong(err, path,
                         "one of \"default\" \"linear\" \"llama3\" \"dynamic\" \"yarn\" "
                         "\"longrope\"",
                         type);
}

static int read_object(const struct hparams *h, struct rope_params *r, const char *name,
                       const struct json *o, struct err *err)
{
    if (json_kind(o) <= JK_NULL)
        return 0;
    if (json_kind(o) != JK_OBJECT)
        return hparams_wrong(err, name, "an object", o);
    struct reader x = {h, r, name, err};
    int rc = read_kind(r, name, o, err);
    if (rc == 0)
        rc = json_each(o, read_member, &x);
    return rc ? rc : check(r, name, err);
}

static const char *const types[] = {"full_attention", "sliding_attention"};

/* One set for all layers is not one for each type: transformers reads nothing of it. */
static int check_type(void *arg, const char *key, size_t len, const struct json *v)
{
    (void)len, (void)v;
    for (int i = 0; i < 2; i++)
        if (strcmp(key, types[i]) == 0)
            return 0;
    return err_set(arg, ERR_FORMAT,
                   "rope_parameters.%.60s: expected full_attention or sliding_attention, "
                   "each with parameters of its own",
                   key);
}

/* Sets for each type of layer: rope_parameters.TYPE, or the older top level keys, of which
 * rope_scaling holds for full layers only. */
static int read_by_type(struct hparams *h, const struct json *newer,
                        const struct json *older, struct err *err)
{
    static const struct hparam_key base = {
        "rope_local_base_freq", HP_REAL, 0, 1, 1e15, NULL, false};
    struct rope_params *const sets[] = {&h->rope, &h->rope_local};
    int rc = hparams_read(h, &base, 1, &h->rope_local.theta, err);
    if (rc || json_kind(newer) <= JK_NULL)
        return rc ? rc : read_object(h, &h->rope, "rope_scaling", older, err);
    if (json_kind(newer) != JK_OBJECT)
        return hparams_wrong(err, "rope_parameters", "an object", newer);
    rc = json_each(newer, check_type, err);
    for (int i = 0; rc == 0 && i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "rope_parameters.%s", types[i]);
        rc = read_object(h, sets[i], name, json_get(newer, types[i]), err);
    }
    return rc;
}

/* Before the objects, so that what stands in them wins. */
static int read_top(struct hparams *h, struct err *err)
{
    const struct json *theta = hparams_get(h, "rope_theta");
    const struct json *partial = hparams_get(h, "partial_rotary_factor");
    h->rope.theta_null = json_kind(theta) == JK_NULL;
    if (json_kind(partial) <= JK_NULL || !h->family->partial || h->family->partial_fixed)
        return 0; /* without a share in the family the key is one of those with one value */
    return read_partial(&h->rope, h->family, "partial_rotary_factor", partial, err);
}

int rope_params_read(struct hparams *h, struct err *err)
{
    const struct json *newer = hparams_get(h, "rope_parameters");
    const struct json *older = hparams_get(h, "rope_scaling");
    bool has_newer = json_kind(newer) > JK_NULL;
    if (h->family->no_rope)
        return 0;
    if (has_newer && json_kind(older) > JK_NULL)
        return err_set(err, ERR_FORMAT,
                       "rope_scaling: expected nothing beside rope_parameters, found %s",
                       json_kind_name(older));
    int rc = read_top(h, err);
    if (rc)
        return rc;
    if (h->family->rope_by_type)
        return read_by_type(h, newer, older, err);
    return read_object(h, &h->rope, has_newer ? "rope_parameters" : "rope_scaling",
                       has_newer ? newer : older, err);
}
