/*
 * `ssmd check`: opens what `ssmd serve` would open and tells what it found, without a
 * socket: what the model is, what a sequence costs, what this machine would hold. Main
 * thread. By the time it runs the configuration has been read and accepted. With --sizes
 * no weights are read, so that a model may be larger than the machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/measure.h"
#include "server/cmd/cmd.h"
#include "server/serve/request_memory.h"
#include "server/serve/served_template.h"

#include <stdio.h>

static double mib(size_t bytes)
{
    return (double)bytes / 0x1p20;
}

/* ---- what the model is, from its sizes -------------------------------------- */

static const struct {
    const char *name;
    enum engine_weights weights;
} formats[] = {{"f32", ENGINE_WEIGHTS_F32},
               {"bf16", ENGINE_WEIGHTS_BF16},
               {"q8", ENGINE_WEIGHTS_Q8},
               {"q4", ENGINE_WEIGHTS_Q4}};

static const char *const kv_names[ENGINE_KV_N] = {"f32", "f16", "q8"};

static void print_layers(const struct engine_sizes *z)
{
    printf("architecture   %s: %d layers of width %d\n", z->arch, z->n_layers,
           z->hidden_size);
    for (int i = 0; i < z->n_layer_kinds; i++) {
        const struct engine_layer_kind *k = &z->layers[i];
        printf("%-15s%d of %s", i ? "" : "layers", k->n, k->mixers);
        if (k->state_bytes)
            printf("; %zu bytes of state", k->state_bytes);
        if (k->page_bytes)
            printf("; %zu bytes of K/V a token", k->page_bytes / (size_t)z->page_tokens);
        printf("\n");
    }
    printf("parameters     %.2f million, a vocabulary of %d ids\n",
           (double)z->n_params / 1e6, z->vocab_size);
    if (z->n_left_out)
        printf("left out       %d tensors of the files, %.1f MiB\n", z->n_left_out,
               mib(z->left_out_bytes));
}

/* What a sequence takes, in each type that K/V can have. */
static int print_sequence(struct engine_options o, const struct engine_sizes *z,
                          struct err *err)
{
    bool state = false;
    for (int i = 0; i < z->n_layer_kinds; i++)
        state |= z->layers[i].state_bytes > 0;
    printf("state          %zu bytes a sequence, of any length\n", z->slot_bytes);
    if (!z->page_bytes)
        printf("K/V            none\n");
    for (o.kv = ENGINE_KV_F32; z->page_bytes && o.kv < ENGINE_KV_N; o.kv++) {
        struct engine_sizes x;
        int rc = engine_sizes(&o, &x, err);
        if (rc)
            return rc;
        size_t token = x.page_bytes / (size_t)x.page_tokens;
        printf("%-15s%s: %zu bytes a token, %.1f MiB for %d tokens", o.kv ? "" : "K/V",
               kv_names[o.kv], token, mib(token * (size_t)x.context_tokens),
               x.context_tokens);
        if (state)
            printf("; as much as the state at %zu", x.slot_bytes / token);
        printf("\n");
    }
    return 0;
}

/* Those formats that the file's tensors can be held as: quantised ones have one. */
static void print_formats(struct engine_options o)
{
    const char *before = "formats        ";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct engine_sizes z;
        o.weights = formats[i].weights;
        if (engine_sizes(&o, &z, NULL) != 0)
            continue;
        printf("%s%s %.1f MiB", before, formats[i].name, mib(z.weights_bytes));
        before = ", ";
    }
    printf("\n");
}

/* ---- what a server would hold ----------------------------------------------- */

static void print_source(const struct config *cfg)
{
    printf("configuration  %s\n", cfg->file[0] ? cfg->file : "defaults");
    printf("model          %s%s (served as ", cfg->shape[0] ? "random weights of " : "",
           cfg->shape[0] ? cfg->shape : cfg->model);
    for (size_t i = 0; i < cfg->served_name.n; i++)
        printf("%s\"%s\"", i ? ", " : "", cfg->served_name.items[i]);
    printf(")\n");
}

static void print_model(const struct engine_info *in)
{
    printf("weights        %s, %.1f MiB in memory (", in->weights,
           mib(in->weights_bytes));
    for (int i = 0; i < in->n_formats; i++)
        printf("%s%s %.1f", i ? ", " : "", in->formats[i].name,
               mib(in->formats[i].bytes));
    printf("), hash %s\n", in->model_hash);
    if (in->has_tokenizer)
        printf("tokenizer      %s\n               for %d rows of the embedding, ",
               in->tokenizer, in->vocab_size);
    else
        printf("tokenizer      none: prompts are ids only (%d ids), ", in->vocab_size);
    if (in->bos_id >= 0)
        printf("begin id %d, ", (int)in->bos_id);
    else
        printf("no begin id, ");
    printf("%s", in->n_eos ? "end ids" : "no end id");
    for (int i = 0; i < in->n_eos; i++)
        printf(" %d", (int)in->eos_ids[i]);
    printf("\n");
}

static void print_chat(struct served_template *t, const struct engine *e)
{
    struct buf text = {0};
    served_template_loaded(t, e);
    served_template_describe(t, e, &text);
    printf("chat           %s\n", text.data ? text.data : "");
    buf_free(&text);
}

static void print_shortage(const struct engine_info *in)
{
    const struct engine_short *few = &in->checkpoints_short;
    if (few->option)
        printf("               %s of %.1f MiB holds %s; expected at least %.1f MiB\n",
               few->option, mib(few->given),
               in->most_checkpoints ? "none but in slots that sequences leave free"
                                    : "none: no prefix is stored",
               mib(few->needed));
}

static void print_plan(const struct config *cfg, const struct engine_info *in,
                       const struct request_memory *m)
{
    size_t slots = (size_t)in->n_slots * in->slot_bytes;
    size_t checkpoints = (size_t)in->n_checkpoints * in->slot_bytes;
    size_t pages = (size_t)in->n_pages * in->page_bytes;
    printf("context        %d tokens\n", in->context_tokens);
    printf("kernels        %s, %d thread%s, %s math\n", in->cpu, in->n_threads,
           in->n_threads == 1 ? "" : "s",
           cfg->math == ENGINE_MATH_BLAS ? "blas" : "exact");
    printf("batch          %d sequences, %d rows a step\n", in->max_seqs, in->step_rows);
    printf("slots          %d of %zu bytes: %.1f MiB\n", in->n_slots, in->slot_bytes,
           mib(slots));
    printf("checkpoints    %d more slots: %.1f MiB", in->n_checkpoints, mib(checkpoints));
    if (in->checkpoint_interval)
        printf(", every %d tokens of a prompt", in->checkpoint_interval);
    printf("\n");
    print_shortage(in);
    printf("pages          %d of %zu bytes, %d tokens each: %.1f MiB\n", in->n_pages,
           in->page_bytes, in->page_tokens, mib(pages));
    printf("index          %.1f MiB\n", mib(in->index_bytes));
    printf("scratch        %.1f MiB\n", mib(in->scratch_bytes));
    printf("tokenizer      %.1f MiB\n", mib(in->tokenizer_bytes));
    printf("requests       %.1f MiB, and %.1f MiB to read a large one\n",
           mib(m->limit_bytes), mib(m->work_bytes));
    printf("memory         %.1f MiB in all\n",
           mib(in->planned_bytes + request_memory_reserved(m)));
}

/* Everything about a model that is open (e) or of which only the sizes are asked. */
static int print_all(const struct config *cfg, const struct engine_options *o,
                     const struct engine *e, struct err *err)
{
    struct engine_sizes sizes;
    int rc = engine_sizes(o, &sizes, err);
    if (rc)
        return rc;
    print_source(cfg);
    print_layers(&sizes);
    rc = print_sequence(*o, &sizes, err);
    print_formats(*o);
    if (rc == 0 && e)
        print_model(engine_info(e));
    return rc;
}

int cmd_check(const struct config *cfg, const char *const *values)
{
    struct engine_options o;
    struct engine *e = NULL;
    struct err err = {0};
    struct request_memory requests;
    struct served_template chat = {0};
    if (request_memory_plan(&requests, cfg, &err) != 0)
        return cmd_fail(CMD_USAGE, &err);
    config_engine_options(cfg, &o);
    o.reserved_bytes = request_memory_reserved(&requests);
    int rc = served_template_open(&chat, cfg, &err);
    if (rc == 0 && !values[CHECK_SIZES])
        rc = engine_open(&e, &o, &err);
    if (rc == 0)
        rc = print_all(cfg, &o, e, &err);
    if (rc == 0 && e) {
        print_chat(&chat, e);
        print_plan(cfg, engine_info(e), &requests);
    }
    engine_close(e);
    served_template_close(&chat);
    if (rc)
        return cmd_fail(CMD_USAGE, &err);
    return fflush(stdout) == 0 ? CMD_OK : CMD_FAILED;
}
