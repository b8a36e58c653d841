/*
 * `ssmd check`: opens what `ssmd serve` would open and tells what it found, without a
 * socket. Main thread. By the time it runs the configuration has been read and accepted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/cmd/cmd.h"
#include "server/serve/request_memory.h"

#include <stdio.h>

static double mib(size_t bytes)
{
    return (double)bytes / 0x1p20;
}

static void print_model(const struct config *cfg, const struct engine_info *in)
{
    printf("configuration  %s\n", cfg->file[0] ? cfg->file : "defaults");
    printf("model          %s%s (served as ", cfg->shape[0] ? "random weights of " : "",
           cfg->shape[0] ? cfg->shape : cfg->model);
    for (size_t i = 0; i < cfg->served_name.n; i++)
        printf("%s\"%s\"", i ? ", " : "", cfg->served_name.items[i]);
    printf(")\n");
    printf("architecture   %s: %d layers of width %d\n", in->arch, in->n_layers,
           in->hidden_size);
    printf("parameters     %.2f million\n", (double)in->n_params / 1e6);
    printf("weights        %s, %.1f MiB in memory (", in->weights,
           mib(in->weights_bytes));
    for (int i = 0; i < in->n_formats; i++)
        printf("%s%s %.1f", i ? ", " : "", in->formats[i].name,
               mib(in->formats[i].bytes));
    printf("), hash %s\n", in->model_hash);
    if (in->has_tokenizer)
        printf("tokenizer      %d ids, ", in->vocab_size);
    else
        printf("tokenizer      none: prompts are ids only (%d ids), ", in->vocab_size);
    if (in->bos_id >= 0)
        printf("begin id %d\n", (int)in->bos_id);
    else
        printf("no begin id\n");
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

int cmd_check(const struct config *cfg)
{
    struct engine_options o;
    struct engine *e = NULL;
    struct err err = {0};
    struct request_memory requests;
    if (request_memory_plan(&requests, cfg, &err) != 0)
        return cmd_fail(CMD_USAGE, &err);
    config_engine_options(cfg, &o);
    o.reserved_bytes = request_memory_reserved(&requests);
    if (engine_open(&e, &o, &err) != 0)
        return cmd_fail(CMD_USAGE, &err);
    const struct engine_info *in = engine_info(e);
    print_model(cfg, in);
    print_plan(cfg, in, &requests);
    engine_close(e);
    return fflush(stdout) == 0 ? CMD_OK : CMD_FAILED;
}
