/* The architectures that are served.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model/arch.h"

#include <stdio.h>
#include <string.h>

static const struct arch *const arches[] = {
    &arch_transxssm,  &arch_pha,      &arch_llama,   &arch_qwen2,
    &arch_qwen3,      &arch_mistral,  &arch_smollm3, &arch_gemma3_text,
    &arch_gss_hybrid, &arch_hedgehog, &arch_h3,      &arch_nemotron_h,
    &arch_falcon_h1,  &arch_mamba2,   &arch_granite, &arch_granitemoehybrid,
    &arch_bamba,      &arch_lfm2,     &arch_qwen3_5, &arch_qwen3_5_text,
    &arch_olmo_hybrid};
enum { N_ARCHES = sizeof arches / sizeof *arches };

const struct arch *arch_find(const char *model_type)
{
    for (int i = 0; i < N_ARCHES; i++)
        if (strcmp(arches[i]->model_type, model_type) == 0)
            return arches[i];
    return NULL;
}

/* Model types that people have and that are not served, with the nearest that is. */
static const struct refusal {
    const char *model_type, *nearest, *why;
} refusals[] = {
    {"qwen3_5_moe", "qwen3_5", "its layers of experts are not served"},
    {"qwen3_5_moe_text", "qwen3_5_text", "its layers of experts are not served"},
    {"qwen3_next", "qwen3_5_text", "its layers of experts are not served"},
    {"qwen3_moe", "qwen3", "its layers of experts are not served"},
    {"qwen2_moe", "qwen2", "its layers of experts are not served"},
    {"lfm2_moe", "lfm2", "its layers of experts are not served"},
    {"granitemoe", "granitemoehybrid", "its layers of experts are not served"},
    {"granitemoeshared", "granitemoehybrid", "its layers of experts are not served"},
    {"mixtral", "mistral", "its layers of experts are not served"},
    {"gpt_oss", "llama", "its layers of experts are not served"},
    {"mamba", "mamba2", "Mamba-1 is not served"},
    {"falcon_mamba", "mamba2", "Mamba-1 is not served"},
    {"jamba", "bamba", "Mamba-1 is not served"},
    {"zamba", "bamba", "Mamba-1 is not served"},
    {"zamba2", "bamba", "its shared attention blocks are not served"},
    {"deepseek_v2", "llama", "latent attention (MLA) is not served"},
    {"deepseek_v3", "llama", "latent attention (MLA) is not served"},
    {"kimi_linear", "qwen3_5_text", "latent attention (MLA) is not served"},
    {"rwkv", "mamba2", "RWKV is not served"},
    {"rwkv7", "mamba2", "RWKV is not served"},
    {"recurrent_gemma", "gemma3_text", "its RG-LRU layers are not served"},
    {"gemma", "gemma3_text", "its layers differ"},
    {"gemma2", "gemma3_text", "its capped scores are not served"},
    {"gemma3", "gemma3_text",
     "a model of images; its text part has model_type "
     "gemma3_text"},
    {"gemma3n", "gemma3_text", "its layers differ"},
    {"lfm2_vl", "lfm2", "a model of images"},
    {"qwen2_vl", "qwen2", "a model of images"},
    {"qwen2_5_vl", "qwen2", "a model of images"},
    {"qwen3_vl", "qwen3", "a model of images"},
    {"mistral3", "mistral", "a model of images"},
    {"llava", "llama", "a model of images"},
    {"mllama", "llama", "a model of images"},
    {"llama4", "llama", "its layers of experts are not served"},
    {"phi3", "llama", "its fused projections are not served"},
    {"olmo2", "olmo_hybrid", "its layers differ"},
    {"olmo3", "olmo_hybrid", "its layers differ"},
    {"whisper", "llama", "a model of speech"},
    {"bert", "llama", "an encoder"},
    {"t5", "llama", "an encoder with a decoder"},
};

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edits that make one name of the other (Levenshtein). */
static int distance(const char *a, const char *b)
{
    enum { LEN_MAX = 40 };
    int row[LEN_MAX + 1];
    int n = (int)strnlen(b, LEN_MAX);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= LEN_MAX && a[i - 1]; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int up = row[j];
            row[j] = min3(up + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1]));
            corner = up;
        }
    }
    return row[n];
}

/* The served name with the fewest edits, when these are fewer than half its letters. */
static const char *nearest(const char *model_type)
{
    const char *best = NULL;
    int least = 0;
    for (int i = 0; i < N_ARCHES; i++) {
        const char *name = arches[i]->model_type;
        int d = distance(model_type, name);
        if (2 * d < (int)strlen(name) && (!best || d < least)) {
            best = name;
            least = d;
        }
    }
    return best;
}

static const struct refusal *refusal_of(const char *model_type)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (strcmp(refusals[i].model_type, model_type) == 0)
            return &refusals[i];
    return NULL;
}

static void refuse(const char *model_type, struct err *err)
{
    char names[500] = "", hint[160] = "";
    const struct refusal *known = refusal_of(model_type);
    const char *near = known ? known->nearest : nearest(model_type);
    for (int i = 0; i < N_ARCHES; i++) {
        size_t at = strlen(names);
        const char *join = i == 0 ? "" : i < N_ARCHES - 1 ? ", " : " or ";
        snprintf(names + at, sizeof names - at, "%s%s", join, arches[i]->model_type);
    }
    if (known)
        snprintf(hint, sizeof hint, ": %s", known->why);
    if (near && arch_find(near)) {
        size_t at = strlen(hint);
        snprintf(hint + at, sizeof hint - at, "; the nearest is %s", near);
    }
    err_set(err, ERR_FORMAT, "model_type: expected %s, found \"%.60s\"%s", names,
            model_type, hint);
}

const struct hparam_family *arch_family(const char *model_type, struct err *err)
{
    const struct arch *arch = arch_find(model_type);
    if (!arch)
        refuse(model_type, err);
    return arch ? arch->family : NULL;
}
