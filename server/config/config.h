/*
 * The process's configuration: defaults < JSON file < SSMD_* < flags.
 *
 * One table in config.c says everything about a key: its JSON name, type, limits, default
 * and help. The JSON reader, the environment (SSMD_UPPER_SNAKE), the flags
 * (--kebab-case),
 * --print-config, --help and configs/default.json all come from it. An unknown key, a
 * wrong type or an impossible value is an error that names the key, where it was set,
 * what was expected and what was found. Read once at start on the main thread, constant
 * after.
 *
 * Durations are seconds, fractions allowed. Sizes are bytes; "512MiB" is understood too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CONFIG_CONFIG_H
#define SERVER_CONFIG_CONFIG_H

#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/log.h"
#include "engine/engine.h"
#include "server/config/option.h"

#include <stdbool.h>
#include <stddef.h>

enum config_alias { CONFIG_ALIAS_NONE, CONFIG_ALIAS_VLLM };

enum config_reasoning { CONFIG_REASONING_NONE, CONFIG_REASONING_SPLIT };

struct config_input;

/* Strings are never NULL: "" means not set. All of them are owned by `arena`. */
struct config {
    /* the model and how it is computed */
    const char *model;              /* folder; "" after config_load only with a shape */
    struct option_list served_name; /* never empty after config_load: the folder's name */
    int model_defaults; /* 1 = the folder's sampling values stand for fields left out */
    const char *cpu;    /* "auto" or a kernel set */
    const char *shape;  /* "" = none; else the model is this shape with random weights */
    enum engine_math math;
    enum engine_weights weights;
    enum engine_kv kv;
    int pin;                 /* 1 = each computing thread has its own processor */
    int threads;             /* 0 = what affinity and cgroup allow */
    int context;             /* tokens; 0 = the model's own */
    size_t memory_bytes;     /* slots + pages; 0 = the engine's choice */
    int max_seqs;            /* sequences that run together */
    int prefix_cache;        /* 1 = prompts start from stored prefixes */
    size_t checkpoint_bytes; /* what they may take of memory_bytes; 0 = what is free */
    int checkpoint_interval; /* tokens; 0 = none on the way through a prompt; or AUTO */
    enum engine_speculate speculate;
    int step_rows; /* row budget of one step */

    /* listening */
    const char *host;
    int port;            /* 0 = any free port (printed in the "listening" log line) */
    int max_connections; /* 0 = min(10000, RLIMIT_NOFILE - 64) */
    int connections_per_address; /* 0 = no limit */
    size_t max_body_bytes, max_header_bytes, max_uri_bytes;
    size_t
        request_bytes; /* of all requests before admission; 0 = by the process's limit */
    double keepalive_idle_s; /* an idle connection is closed after this */
    double
        body_timeout_s; /* headers and body must have arrived: else 408; 0 = no limit */

    /* a request's life */
    int queue_limit;          /* requests that may wait: beyond, 429 */
    double wide_wait_s;       /* what fits may pass what does not; 0 = never */
    double queue_timeout_s;   /* a request may wait this long for the budget: 429; 0 = no
                                 limit */
    double request_timeout_s; /* from arrival to the last byte; 0 = no limit */
    size_t stream_buffer_bytes; /* unread output of one stream; beyond, it is paused */
    double
        stream_stall_timeout_s; /* a paused stream is cancelled after this; 0 = never */
    double sse_keepalive_s;     /* a silent stream gets a comment line; 0 = never */

    /* chat */
    int default_max_tokens;    /* of an answer whose request sets no limit */
    const char *chat_template; /* a file, or "chatml"; "" = the model folder's own */
    const char *template_time; /* what strftime_now tells; "" = the request's arrival */
    const char *tool_format;   /* "auto", or the name of an enum tool_format */
    enum config_reasoning reasoning_format;

    /* stopping */
    double drain_grace_s; /* after SIGTERM new requests are still served for this long */
    double drain_timeout_s; /* then running ones may take this long to finish */
    double watchdog_s; /* an event loop that is this late ends the process, an engine step
                          this long is not ready; 0 = off */

    /* access */
    const char *api_keys_file; /* one "tenant:key" a line; "" = no file */
    const char *api_key; /* one key of tenant "default", beside the file's; "" = none.
                          * With neither, no key is asked. */
    struct option_list cors_allow_origins;
    struct option_list trusted_peers; /* addresses and prefixes, as text */

    /* state objects */
    const char *state_dir; /* "" = none: the routes answer 404 */
    size_t state_max_object_bytes, state_tenant_bytes,
        state_total_bytes; /* 0: no limit */
    int state_persist;     /* 1 = checkpoints outlive the process */

    /* what the process tells */
    enum log_level log_level;
    int access_log; /* 1 = a line for each request; 0 = for those that failed */
    enum config_alias metrics_alias;

    /* not keys */
    const char *file;                 /* the JSON file that was read, "" = none */
    const struct config_input *input; /* borrows; for reading anew */
    bool print_config;                /* --print-config was given */
    bool help;          /* --help or -h was given; nothing else was checked */
    struct arena arena; /* owns the strings */
};

/* Which keys a command takes as flags. The file and the environment may hold every key.
 */
enum config_group {
    CONFIG_MODEL = 1,
    CONFIG_COMPUTE = 2,
    CONFIG_SERVE = 4,
    CONFIG_LISTEN = 8, /* where a daemon listens */
    CONFIG_ALL = 15
};

/* A flag of one command that is no configuration key. */
struct config_flag {
    const char *name;  /* "--ids" */
    const char *value; /* placeholder in the help, NULL = a switch */
    const char *help;
};

/* What a command line may hold, and where the rest of it goes. */
struct config_input {
    char *const *argv; /* after the command's name, ends with NULL */
    char *const *envp; /* as environ */
    unsigned groups;
    const struct config_flag *flags; /* [n_flags] */
    size_t n_flags;
    const char *
        *values; /* out, [n_flags]: borrows from argv; "" for a switch; NULL = absent */
    const char **operand; /* out, NULL until found; a NULL pointer: none is accepted */
    size_t more_operands; /* operand has room for 1 + this many */
};

/* Fills *cfg; config_free ends it, also after a failure. ERR_ARGUMENT with param = the
 * key for a bad value or flag, ERR_IO or ERR_FORMAT for the file. */
int config_load(struct config *cfg, const struct config_input *in, struct err *err);
void config_free(struct config *cfg); /* accepts a zeroed struct */

/* The effective values as a JSON object, one key a line, secrets as "***". */
void config_print(const struct config *cfg, struct buf *out);

/* The table of keys, *n rows; constant. */
const struct option_row *config_rows(size_t *n);

/* The flags of `groups`, one a line with default and help. */
void config_help(unsigned groups, struct buf *out);

/* Borrows cfg's strings. Emit stays NULL: the caller's. */
void config_engine_options(const struct config *cfg, struct engine_options *o);

#endif
