/* The lines about a fresh engine. A line tells figures as numbers and what to do in words.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/serve/start_log.h"

#include "engine/base/log.h"

#include <string.h>

static void log_checkpoints(const struct engine_info *i)
{
    const struct engine_short *few = &i->checkpoints_short;
    if (!few->option)
        return;
    log_line(LOG_WARN, i->most_checkpoints ? "no_checkpoint_slots" : "no_checkpoints",
             "\"option\":\"%s\",\"given_bytes\":%zu,\"needed_bytes\":%zu,\"note\":\"%s\"",
             few->option, few->given, few->needed,
             i->most_checkpoints ? "prefixes are stored in slots that sequences leave "
                                   "free, and in none while all run"
                                 : "no prefix is stored: one checkpoint takes more");
}

void start_log_plan(const struct engine_info *i, const struct request_memory *m)
{
    log_line(
        LOG_INFO, "memory",
        "\"weights_bytes\":%zu,\"slots\":%d,\"checkpoint_slots\":%d,\"slot_bytes\":%zu,\"pages\":%d,"
        "\"page_bytes\":%zu,\"page_tokens\":%d,\"scratch_bytes\":%zu,\"tokenizer_bytes\":%zu,"
        "\"index_bytes\":%zu,\"request_bytes\":%zu,\"work_bytes\":%zu,\"planned_bytes\":%zu,"
        "\"checkpoint_interval\":%d,\"context_tokens\":%d,\"longest_tokens\":%d,\"max_seqs\":%d,\"threads\":%d,\"cpu\":\"%s\"",
        i->weights_bytes, i->n_slots, i->n_checkpoints, i->slot_bytes, i->n_pages,
        i->page_bytes, i->page_tokens, i->scratch_bytes, i->tokenizer_bytes,
        i->index_bytes, m->limit_bytes, m->work_bytes,
        i->planned_bytes + request_memory_reserved(m), i->checkpoint_interval,
        i->context_tokens, i->longest_tokens, i->max_seqs, i->n_threads, i->cpu);
    if (strcmp(i->cpu, "c") == 0)
        log_line(LOG_WARN, "cpu_slow",
                 "\"cpu\":\"c\",\"note\":\"kernels without vector instructions are about "
                 "a hundred times slower; this processor lacks AVX2, or cpu asks for "
                 "them\"");
    log_checkpoints(i);
}

void start_log_tenants(const struct keys *k, const struct engine_info *i)
{
    size_t least = i->slot_bytes + i->page_bytes;
    for (const struct keys_tenant *t = keys_tenants(k); t && i->most_checkpoints;
         t = t->next)
        if (t->limits.checkpoint_bytes && t->limits.checkpoint_bytes < least)
            log_line(LOG_WARN, "no_checkpoints",
                     "\"tenant\":\"%s\",\"option\":\"checkpoint_bytes\","
                     "\"given_bytes\":%zu,\"needed_bytes\":%zu,\"note\":\"no prefix of "
                     "this tenant is stored: one checkpoint takes more\"",
                     t->name, t->limits.checkpoint_bytes, least);
}
