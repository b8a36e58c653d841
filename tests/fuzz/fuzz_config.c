/*
 * config.json: read with a table of every type of key by families that spell it in every
 * way (nested, aliases, lists of layers, RoPE by type of layer), then as the configuration
 * of the small golden model of its model_type, whose tensors stop most of what is absurd.
 * A NUL byte parts it from a generation_config.json. Nothing may crash, overflow or allocate
 * without bound.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/generation_config.h"
#include "engine/load/layer_list.h"
#include "engine/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *type, *folder;
} models[] = {
    {"TransXSSM", "transxssm-default"},
    {"pha", "pha-gated"},
    {"llama", "llama-public"},
    {"gss_hybrid", "gss_hybrid-default"},
    {"hedgehog", "hedgehog-feature"},
    {"h3", "h3-default"},
    {"nemotron_h", "nemotron_h-limit"},
    {"falcon_h1", "falcon_h1-after"},
    {"mamba2", "mamba2-groups"},
    {"granite", "granite-bias"},
    {"granitemoehybrid", "granitemoehybrid-rope"},
    {"bamba", "bamba-limit"},
    {"lfm2", "lfm2-adjusted"},
    {"qwen3_5", "qwen3_5-vision"},
    {"qwen3_5_text", "qwen3_5_text-odd"},
    {"olmo_hybrid", "olmo_hybrid-nope"},
    {"qwen2", "qwen2-window"},
    {"qwen3", "qwen3-window"},
    {"mistral", "mistral-window"},
    {"smollm3", "smollm3-window"},
    {"gemma3_text", "gemma3_text-tied"},
};
enum { N_MODELS = sizeof models / sizeof *models };
static char dir[64];

static void name(char *out, size_t cap, const char *file)
{
    snprintf(out, cap, "%s/%s", dir, file);
}

static void remove_dir(void)
{
    static const char *const files[] = {"config.json", "generation_config.json",
                                        "model.safetensors"};
    char path[128];
    for (int i = 0; i < 3; i++) {
        name(path, sizeof path, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "%s/ssmd-fuzz-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(dir))
        abort();
    atexit(remove_dir);
}

static void write_file(const char *file, const uint8_t *data, size_t size)
{
    char path[128];
    name(path, sizeof path, file);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size)
        abort();
    fclose(f);
}

struct mine {
    int count, word;
    double number;
    bool flag;
    const struct json *list;
};

static const char *const words[] = {"cosine", "dot", NULL};
static const struct hparam_key keys[] = {
    {"attn_layer_period", HP_INT, offsetof(struct mine, count), 1, 4096, NULL, false},
    {"embed_scale", HP_REAL, offsetof(struct mine, number), -1e9, 1e9, NULL, false},
    {"hidden_bias", HP_BOOL, offsetof(struct mine, flag), 0, 0, NULL, false},
    {"attention_score", HP_WORD, offsetof(struct mine, word), 0, 0, words, false},
    {"attention_layers", HP_INTS, offsetof(struct mine, list), 0, 0, NULL, false},
};

/* ---- families --------------------------------------------------------------- */

static const struct hparam_alias aliases[] = {
    {"attention_head_dim", "head_dim", false},
    {"block_ff_dim", "intermediate_size", true},
    {"tie_embedding", "tie_word_embeddings", true},
    {NULL, NULL, false}};
static const struct hparam_only only[] = {
    {"num_heads", "=num_attention_heads"}, {"mlp_only_layers", "[] null"}, {NULL, NULL}};
static const char *const lists[] = {"layer_types", "hybrid_override_pattern",
                                    "full_attn_idxs", "no_rope_layers", NULL};

#define SPELLINGS                                                                        \
    .of_transformers = true, .eps_key = "norm_eps", .n_kv_heads = 1, .partial = 0.5,     \
    .max_position = 512, .lists = lists, .aliases = aliases, .only = only

static const struct hparam_family families[] = {
    {0},
    {SPELLINGS, .depth_by_list = true, .no_attention = true, .rope_by_type = true},
    {SPELLINGS, .nested = true, .tied = HEAD_TIED},
};
static const struct hparam_family *family;

static const struct hparam_family *find(const char *model_type, struct err *err)
{
    (void)model_type, (void)err;
    return family;
}

static void try_lists(const struct hparams *h)
{
    static const struct layer_word names[] = {{"linear_attention", 1},
                                              {"full_attention", 2},
                                              {"sliding_attention", 3},
                                              {NULL, 0}};
    static const struct layer_word letters[] = {{"M", 1}, {"*", 2}, {"-", 3}, {NULL, 0}};
    uint8_t kinds[HPARAMS_MAX_LAYERS] = {0};
    struct err err = {0};
    int rc[] = {layer_list_words(h, lists[0], names, kinds, &err),
                layer_list_letters(h, lists[1], letters, kinds, &err),
                layer_list_indices(h, lists[2], 2, kinds, &err),
                layer_list_flags(h, lists[3], 1, 2, kinds, &err)};
    for (int i = 0; i < 4; i++)
        if (rc[i] && !strstr(err.text, "config.json"))
            abort();
    for (int i = 0; i < HPARAMS_MAX_LAYERS; i++)
        if (kinds[i] > 3 || (kinds[i] && i >= h->n_layers))
            abort();
}

static void try_config(void)
{
    struct hparams h;
    struct generation_config g;
    struct mine mine = {0};
    struct err err = {0};
    if (hparams_open(&h, dir, find, &err)) {
        if (!strstr(err.text, "config.json"))
            abort();
        return;
    }
    if (h.vocab_size < 1 || h.n_layers < 1 || h.n_layers > HPARAMS_MAX_LAYERS ||
        (h.n_heads < 1 && !family->no_attention) ||
        (h.n_heads && h.n_heads % h.n_kv_heads) || !(h.rope.partial <= 1) ||
        h.ids.n_eos > TOKEN_IDS_MAX_EOS)
        abort();
    if (generation_config_open(&g, dir, &h.ids, h.vocab_size, &err)
            ? !strstr(err.text, "generation_config.json")
            : g.ids.n_eos > TOKEN_IDS_MAX_EOS)
        abort();
    if (hparams_arch(&h, keys, sizeof keys / sizeof *keys, &mine, &err) && !err.text[0])
        abort();
    try_lists(&h);
    hparams_close(&h);
}

/* ---- models ----------------------------------------------------------------- */

/* The golden model of the file's model_type, or -1. */
static int model_of(void)
{
    char path[128];
    struct json *doc = NULL;
    int found = -1;
    name(path, sizeof path, "config.json");
    if (json_load_python(&doc, path, 1 << 20, NULL))
        return -1;
    const struct json *type =
        json_kind(doc) == JK_OBJECT ? json_get(doc, "model_type") : NULL;
    for (int i = 0; i < N_MODELS && json_kind(type) == JK_STRING; i++)
        if (strcmp(json_as_string(type, NULL), models[i].type) == 0)
            found = i;
    json_free(doc);
    return found;
}

/* The table of positions is made for the context before tensors are compared: a short
 * one. */
static void try_model(int which)
{
    char path[128], from[4096];
    struct model m;
    struct err err = {0};
    name(path, sizeof path, "model.safetensors");
    unlink(path);
    if (!getcwd(from, sizeof from - 128))
        abort();
    snprintf(from + strlen(from), 128, "/tests/golden/%s/model.safetensors",
             models[which].folder);
    if (symlink(from, path))
        abort();
    if (model_open(&m, &(struct model_options){.dir = dir, .context = 64}, &err) == 0)
        model_close(&m);
    else if (!err.text[0])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!dir[0])
        make_dir();
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - data) : size;
    write_file("config.json", data, n);
    if (nul)
        write_file("generation_config.json", nul + 1, size - n - 1);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        family = &families[i];
        try_config();
    }
    int which = model_of();
    if (which >= 0)
        try_model(which);
    char path[128];
    name(path, sizeof path, "generation_config.json");
    unlink(path);
    return 0;
}
