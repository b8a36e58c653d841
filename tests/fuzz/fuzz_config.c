/*
 * config.json: read with a table of every type of key, then as the configuration of a
 * small golden model, whose tensors stop most of what is absurd. A NUL byte parts it from
 * a generation_config.json. Nothing may crash, overflow or allocate without bound.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/generation_config.h"
#include "engine/load/hparams.h"
#include "engine/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const models[] = {"tests/golden/transxssm-default",
                                     "tests/golden/pha-gated",
                                     "tests/golden/llama-default"};
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

static const struct hparam_family *all(const char *model_type, struct err *err)
{
    static const struct hparam_family plain = {0};
    (void)model_type, (void)err;
    return &plain;
}

/* How long a context the configuration asks for; 0 when it is refused. */
static int try_config(void)
{
    struct hparams h;
    struct generation_config g;
    struct mine mine = {0};
    struct err err = {0};
    if (hparams_open(&h, dir, all, &err)) {
        if (!strstr(err.text, "config.json"))
            abort();
        return 0;
    }
    int context = h.max_position;
    if (h.vocab_size < 1 || h.n_heads < 1 || h.n_heads % h.n_kv_heads ||
        h.ids.n_eos > TOKEN_IDS_MAX_EOS)
        abort();
    if (generation_config_open(&g, dir, &h.ids, h.vocab_size, &err)
            ? !strstr(err.text, "generation_config.json")
            : g.ids.n_eos > TOKEN_IDS_MAX_EOS)
        abort();
    if (hparams_arch(&h, keys, sizeof keys / sizeof *keys, &mine, &err) && !err.text[0])
        abort();
    hparams_close(&h);
    return context;
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
    snprintf(from + strlen(from), 128, "/%s/model.safetensors", models[which]);
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
    if (try_config())
        for (int i = 0; i < 3; i++)
            try_model(i);
    char path[128];
    name(path, sizeof path, "generation_config.json");
    unlink(path);
    return 0;
}
