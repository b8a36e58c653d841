/*
 * The keys of the configuration and the order in which they are read. Main thread, at
 * start. Refuses anything it does not know. The subtle point: flags are walked first, for
 * they name the file, but applied last, for they win.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/config/config.h"

#include "server/config/option_print.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef SSMD_DATADIR
#define SSMD_DATADIR "/usr/local/share/ssmd"
#endif

enum { CONFIG_FILE_MAX = 1 << 20 };
static const double WATCHDOG_LEAST_S = 0.5; /* some idle turns of the loop */

static const char *const cpu_names[] = {"auto",   "c",    "avx2", "avxvnni",
                                        "avx512", "vnni", "neon", NULL};
static const char *const math_names[] = {
    [ENGINE_MATH_EXACT] = "exact", [ENGINE_MATH_BLAS] = "blas", NULL};
static const char *const weights_names[] = {
    [ENGINE_WEIGHTS_OWN] = "own",   [ENGINE_WEIGHTS_F32] = "f32",
    [ENGINE_WEIGHTS_BF16] = "bf16", [ENGINE_WEIGHTS_Q8] = "q8",
    [ENGINE_WEIGHTS_Q4] = "q4",     NULL};
static const char *const kv_names[] = {
    [ENGINE_KV_F32] = "f32", [ENGINE_KV_F16] = "f16", [ENGINE_KV_Q8] = "q8", NULL};
static const char *const switch_names[] = {"off", "on", NULL};
static const char *const speculate_names[] = {[ENGINE_SPECULATE_OFF] = "off",
                                              [ENGINE_SPECULATE_AUTO] = "auto",
                                              [ENGINE_SPECULATE_ON] = "on",
                                              NULL};
static const char *const interval_names[] = {[-1 - ENGINE_INTERVAL_AUTO] = "auto", NULL};
static const char *const level_names[] = {[LOG_ERROR] = "error",
                                          [LOG_WARN] = "warn",
                                          [LOG_INFO] = "info",
                                          [LOG_DEBUG] = "debug",
                                          NULL};
static const char *const tool_names[] = {"auto",        "none",    "hermes",
                                         "qwen3_coder", "lfm2",    "llama3_json",
                                         "json_list",   "mistral", NULL};
static const char *const reasoning_names[] = {
    [CONFIG_REASONING_NONE] = "none", [CONFIG_REASONING_SPLIT] = "split", NULL};
static const char *const alias_names[] = {
    [CONFIG_ALIAS_NONE] = "", [CONFIG_ALIAS_VLLM] = "vllm", NULL};

/* clang-format off */
#define AT(field)            offsetof(struct config, field)
#define INT(field, lo, hi)   OPTION_INT, AT(field), lo, hi, NULL, false
#define INT_OR(field, lo, hi, names) OPTION_INT, AT(field), lo, hi, names, false
#define BYTES(field, lo, hi) OPTION_BYTES, AT(field), lo, hi, NULL, false
#define SECONDS(field)       OPTION_SECONDS, AT(field), 0, 1e6, NULL, false
#define TEXT(field, lo, hi)  OPTION_STRING, AT(field), lo, hi, NULL, false
#define SECRET(field, hi)    OPTION_STRING, AT(field), 0, hi, NULL, true
#define WORD(field, names)   OPTION_STRING, AT(field), 0, 0, names, false
#define CHOICE(field, names) OPTION_CHOICE, AT(field), 0, 0, names, false
#define LIST(field, hi)      OPTION_LIST, AT(field), 0, hi, NULL, false

#define MODEL     CONFIG_MODEL, "Model"
#define SERVED    CONFIG_SERVE, "Model"
#define COMPUTING CONFIG_COMPUTE, "Computing"
#define BATCHING  CONFIG_SERVE, "Computing"
#define PLACE     CONFIG_LISTEN, "Listening"
#define LISTENING CONFIG_SERVE, "Listening"
#define REQUESTS  CONFIG_SERVE, "Requests"
#define CHAT      CONFIG_SERVE, "Chat"
#define STOPPING  CONFIG_SERVE, "Stopping"
#define ACCESS    CONFIG_SERVE, "Access"
#define STATES    CONFIG_SERVE, "State objects"
#define TELLING   CONFIG_SERVE, "Logs and metrics"

static const struct option_row rows[] = {
    {"model", TEXT(model, 0, 4000), "", MODEL, "DIR",
     "model folder; without it the embedded model"},
    {"context", INT(context, 0, 1 << 24), "0", MODEL, "N",
     "longest prompt plus answer, in tokens; 0: the model's limit"},
    {"served_name", LIST(served_name, 200), "", SERVED, "A,B",
     "model ids in the API, the first in answers; default: the folder's name"},

    {"shape", TEXT(shape, 0, 4000), "", MODEL, "FILE",
     "serve random weights of this config.json (benchmarks)"},

    {"model_defaults", CHOICE(model_defaults, switch_names), "off", SERVED, "WHEN",
     "on: sampling fields left out are as generation_config.json says"},

    {"weights", CHOICE(weights, weights_names), "own", COMPUTING, "TYPE",
     "weight format in memory: own (the file's), f32, bf16, q8, q4"},
    {"kv", CHOICE(kv, kv_names), "f32", COMPUTING, "TYPE",
     "K/V cache format: f32, f16, q8"},
    {"threads", INT(threads, 0, 1024), "0", COMPUTING, "N",
     "compute threads; 0: every processor this process may use"},
    {"cpu", WORD(cpu, cpu_names), "auto", COMPUTING, "SET",
     "kernel set, or auto; every set gives the same bits"},
    {"math", CHOICE(math, math_names), "exact", COMPUTING, "MODE",
     "exact, or blas: faster long prompts, without equality"},
    {"pin", CHOICE(pin, switch_names), "off", COMPUTING, "WHEN",
     "on: bind each compute thread to one processor"},
    {"memory_bytes", BYTES(memory_bytes, 0, 0x1p46), "0", COMPUTING, "SIZE",
     "slots and pages, e.g. 512MiB; 0: what max_seqs need"},
    {"step_rows", INT(step_rows, 1, 8192), "256", COMPUTING, "N",
     "largest batch of one step, in tokens"},
    {"max_seqs", INT(max_seqs, 1, 4096), "64", BATCHING, "N",
     "sequences that run at once"},
    {"prefix_cache", CHOICE(prefix_cache, switch_names), "on", BATCHING, "WHEN",
     "on: prompts start from the longest stored prefix"},
    {"checkpoint_bytes", BYTES(checkpoint_bytes, 0, 0x1p46), "0", BATCHING, "SIZE",
     "limit of the prefix cache; 0: whatever is free"},
    {"checkpoint_interval", INT_OR(checkpoint_interval, 0, 1 << 24, interval_names), "auto", BATCHING, "N",
     "checkpoint a prompt every N tokens; auto: by its cost; 0: none"},
    {"speculate", CHOICE(speculate, speculate_names), "auto", BATCHING, "WHEN",
     "prompt-lookup speculation: off, auto, on; same answers"},

    {"host", TEXT(host, 1, 255), "127.0.0.1", PLACE, "ADDR",
     "address to listen on"},
    {"port", INT(port, 0, 65535), "8080", PLACE, "N",
     "TCP port; 0: any free one"},
    {"max_connections", INT(max_connections, 0, 1000000), "0", LISTENING, "N",
     "above it idle ones are ended; 0: what RLIMIT_NOFILE allows"},
    {"connections_per_address", INT(connections_per_address, 0, 1000000), "0", LISTENING, "N",
     "of one client, trusted_peers apart; beyond it 429; 0: no limit"},
    {"max_body_bytes", BYTES(max_body_bytes, 1, 0x1p30), "4MiB", LISTENING, "SIZE",
     "larger request bodies get 413"},
    {"request_bytes", BYTES(request_bytes, 0, 0x1p46), "0", LISTENING, "SIZE",
     "requests before admission; beyond it 429; 0: an eighth of memory"},
    {"max_header_bytes", BYTES(max_header_bytes, 256, 32768), "16KiB", LISTENING, "SIZE",
     "larger header blocks get 431"},
    {"max_uri_bytes", BYTES(max_uri_bytes, 64, 16384), "8KiB", LISTENING, "SIZE",
     "longer request targets get 414"},
    {"keepalive_idle", SECONDS(keepalive_idle_s), "75", LISTENING, "S",
     "an idle connection is closed after this; 0: never"},
    {"body_timeout", SECONDS(body_timeout_s), "30", LISTENING, "S",
     "a request must arrive within this, else 408; 0: no limit"},

    {"queue_limit", INT(queue_limit, 0, 1000000), "256", REQUESTS, "N",
     "requests that may wait; beyond it 429"},
    {"queue_timeout", SECONDS(queue_timeout_s), "30", REQUESTS, "S",
     "longest wait for slots and pages, then 429; 0: no limit"},
    {"wide_wait", SECONDS(wide_wait_s), "2", REQUESTS, "S",
     "how long requests that fit may pass one that does not; 0: never"},
    {"request_timeout", SECONDS(request_timeout_s), "600", REQUESTS, "S",
     "from arrival to the last byte; 0: no limit"},
    {"stream_buffer_bytes", BYTES(stream_buffer_bytes, 1024, 0x1p30), "256KiB", REQUESTS, "SIZE",
     "unread output at which a stream is paused"},
    {"stream_stall_timeout", SECONDS(stream_stall_timeout_s), "30", REQUESTS, "S",
     "a stream paused this long is cancelled; 0: never"},
    {"sse_keepalive", SECONDS(sse_keepalive_s), "15", REQUESTS, "S",
     "silence after which a comment line is sent; 0: never"},

    {"default_max_tokens", INT(default_max_tokens, 1, 1 << 24), "4096", CHAT, "N",
     "longest answer in a chat whose request sets no limit"},
    {"chat_template", TEXT(chat_template, 0, 4000), "", CHAT, "FILE",
     "Jinja file, or chatml; without it the model folder's own"},
    {"template_time", TEXT(template_time, 0, 40), "", CHAT, "TIME",
     "strftime_now tells this time: 2026-12-31 or 2026-12-31T23:59:59Z"},
    {"tool_format", WORD(tool_format, tool_names), "auto", CHAT, "FORM",
     "how answers call tools; auto: as the chat template shows calls"},
    {"reasoning_format", CHOICE(reasoning_format, reasoning_names), "split", CHAT, "HOW",
     "split: reasoning apart from content; none: it stays in it"},

    {"drain_grace", SECONDS(drain_grace_s), "0", STOPPING, "S",
     "new requests are still served this long after SIGTERM"},
    {"drain_timeout", SECONDS(drain_timeout_s), "30", STOPPING, "S",
     "running requests may then take this long"},
    {"watchdog", SECONDS(watchdog_s), "10", STOPPING, "S",
     "a loop this late ends the process, a step is not ready; 0: off"},

    {"api_keys_file", TEXT(api_keys_file, 0, 4000), "", ACCESS, "FILE",
     "file of tenant:key lines with limits; without keys none is required"},
    {"api_key", SECRET(api_key, 1000), "", ACCESS, "KEY",
     "one more key; prefer SSMD_API_KEY: flags show in ps"},
    {"cors_allow_origins", LIST(cors_allow_origins, 1000), "", ACCESS, "A,B",
     "origins whose pages may call the API; none: CORS is off"},
    {"trusted_peers", LIST(trusted_peers, 64), "", ACCESS, "A,B",
     "proxies whose X-Forwarded-For counts: 10.0.0.0/8,fd00::1"},

    {"state.dir", TEXT(state_dir, 0, 3000), "", STATES, "DIR",
     "directory of state objects; without it there are none"},
    {"state.max_object_bytes", BYTES(state_max_object_bytes, 0, 0x1p46), "1GiB", STATES, "SIZE",
     "larger objects get 413; 0: no limit"},
    {"state.tenant_bytes", BYTES(state_tenant_bytes, 0, 0x1p50), "16GiB", STATES, "SIZE",
     "all objects of a tenant; beyond it 413; 0: no limit"},
    {"state.total_bytes", BYTES(state_total_bytes, 0, 0x1p50), "64GiB", STATES, "SIZE",
     "all objects in the directory; 0: no limit"},
    {"state.persist", CHOICE(state_persist, switch_names), "off", STATES, "WHEN",
     "on: write stored prefixes to state.dir for the next start"},

    {"log_level", CHOICE(log_level, level_names), "info", TELLING, "LEVEL",
     "error, warn, info or debug"},
    {"access_log", CHOICE(access_log, switch_names), "on", TELLING, "WHEN",
     "on: a line for each request; off: for those that failed"},
    {"metrics_alias", CHOICE(metrics_alias, alias_names), "", TELLING, "NAME",
     "vllm: also emit metrics under vLLM's names"},
};
/* clang-format on */

enum { N_ROWS = sizeof rows / sizeof *rows };

const struct option_row *config_rows(size_t *n)
{
    *n = N_ROWS;
    return rows;
}

static struct options options_of(struct config *cfg)
{
    return (struct options){rows, N_ROWS, cfg, &cfg->arena};
}

/* ---- flags ------------------------------------------------------------------ */

struct walk {
    const struct config_input *in;
    struct config *cfg;
    const char *texts[N_ROWS]; /* borrows from argv; NULL = flag absent */
    size_t at;                 /* index into argv */
};

/* The value of the flag at w->at: after its '=', else the next argument. */
static int flag_value(struct walk *w, const char **value, struct err *err)
{
    const char *arg = w->in->argv[w->at];
    const char *eq = strchr(arg, '=');
    if (!eq && !w->in->argv[w->at + 1])
        return err_param(err, ERR_ARGUMENT, arg, "%s: expected a value after it", arg);
    *value = eq ? eq + 1 : w->in->argv[++w->at];
    return 0;
}

static int take_switch(const char *arg, size_t len, bool *on, struct err *err)
{
    *on = true;
    return arg[len] ? err_param(err, ERR_ARGUMENT, arg, "%s: expected no value", arg) : 0;
}

static const struct config_flag *own_flag(const struct config_input *in, const char *arg,
                                          size_t len)
{
    for (size_t i = 0; i < in->n_flags; i++) {
        if (strlen(in->flags[i].name) == len && memcmp(in->flags[i].name, arg, len) == 0)
            return &in->flags[i];
    }
    return NULL;
}

static int take_flag(struct walk *w, struct err *err)
{
    const char *arg = w->in->argv[w->at];
    size_t len = strcspn(arg, "=");
    struct options o = options_of(w->cfg);
    if (len == 14 && memcmp(arg, "--print-config", len) == 0)
        return take_switch(arg, len, &w->cfg->print_config, err);
    if (len == 8 && memcmp(arg, "--config", len) == 0)
        return flag_value(w, &w->cfg->file, err);
    const struct option_row *row = option_by_flag(&o, arg, len);
    if (row && (row->group & w->in->groups))
        return flag_value(w, &w->texts[row - rows], err);
    const struct config_flag *flag = own_flag(w->in, arg, len);
    if (!flag)
        return err_param(err, ERR_ARGUMENT, arg, "unknown option %.80s", arg);
    const char **value = &w->in->values[flag - w->in->flags];
    if (flag->value)
        return flag_value(w, value, err);
    bool on;
    *value = "";
    return take_switch(arg, len, &on, err);
}

static int take_operand(struct walk *w, struct err *err)
{
    const char *arg = w->in->argv[w->at];
    for (size_t i = 0; w->in->operand && i <= w->in->more_operands; i++) {
        if (w->in->operand[i])
            continue;
        w->in->operand[i] = arg;
        return 0;
    }
    return err_param(err, ERR_ARGUMENT, arg, "unexpected argument \"%.80s\"", arg);
}

static int walk_flags(struct walk *w, struct err *err)
{
    for (w->at = 0; w->in->argv[w->at]; w->at++) {
        const char *arg = w->in->argv[w->at];
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            w->cfg->help = true;
            return 0;
        }
        int rc = arg[0] == '-' && arg[1] ? take_flag(w, err) : take_operand(w, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int apply_flags(const struct walk *w, const struct options *o, struct err *err)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        char flag[OPTION_NAME_CAP];
        option_flag_name(&rows[i], flag);
        int rc = w->texts[i] ? option_set(o, &rows[i], w->texts[i], flag, err) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- environment and file --------------------------------------------------- */

static int unknown_variable(const char *name, size_t len, struct err *err)
{
    bool injected =
        strncmp(name, "SSMD_SERVICE_", 13) == 0 || strncmp(name, "SSMD_PORT_", 10) == 0;
    return err_param(
        err, ERR_ARGUMENT, "", "unknown environment variable %.*s%s", (int)len, name,
        injected ? " (Kubernetes sets it for a Service named ssmd: give the pod "
                   "enableServiceLinks: false, or the Service another name)"
                 : "");
}

static int apply_env(const struct config_input *in, const struct options *o,
                     struct err *err)
{
    for (char *const *v = in->envp; v && *v; v++) {
        size_t len = strcspn(*v, "=");
        if (strncmp(*v, "SSMD_", 5) != 0 || !(*v)[len])
            continue;
        if (len == 11 && memcmp(*v, "SSMD_CONFIG", len) == 0)
            continue;
        const struct option_row *row = option_by_env(o, *v, len);
        char name[OPTION_NAME_CAP];
        if (!row)
            return unknown_variable(*v, len, err);
        option_env_name(row, name);
        int rc = option_set(o, row, *v + len + 1, name, err);
        if (rc)
            return rc;
    }
    return 0;
}

static const char *file_variable(char *const *envp)
{
    for (; envp && *envp; envp++) {
        if (strncmp(*envp, "SSMD_CONFIG=", 12) == 0)
            return *envp + 12;
    }
    return "";
}

static int apply_file(const char *path, const struct options *o, struct err *err)
{
    struct json *root = NULL;
    int rc = json_load(&root, path, CONFIG_FILE_MAX, err);
    if (rc)
        return err_prefix(err, "configuration");
    rc = option_set_json(o, root, path, err);
    json_free(root);
    return rc;
}

/* ---- what follows from the values ------------------------------------------- */

/* The embedded model: beside the executable (a checkout's build/ or build/<variant>/, or
 * <prefix>/bin), else where `make install` put it. */
static int default_model(struct config *cfg, struct err *err)
{
    static const char *const places[] = {"/../models/default", "/../../models/default",
                                         "/../share/ssmd/models/default"};
    char exe[PATH_MAX], path[PATH_MAX + 64], probe[PATH_MAX + 80];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    const char *found = SSMD_DATADIR "/models/default";
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%s", exe, places[i]);
        snprintf(probe, sizeof probe, "%s/config.json", path);
        if (access(probe, R_OK) != 0)
            continue;
        found = realpath(path, probe) ? probe : path;
        break;
    }
    cfg->model = arena_strdup(&cfg->arena, found, strlen(found));
    return cfg->model ? 0 : err_set(err, ERR_MEMORY, "out of memory");
}

/* The folder's name, or that of the shape's file without its ending. */
static int default_name(struct config *cfg, struct err *err)
{
    char path[PATH_MAX];
    const char *given = cfg->shape[0] ? cfg->shape : cfg->model;
    const char *full = realpath(given, path) ? path : given;
    const char *slash = strrchr(full, '/');
    const char *name = slash && slash[1] ? slash + 1 : full;
    size_t len = strlen(name);
    if (cfg->shape[0] && len > 5 && strcmp(name + len - 5, ".json") == 0)
        len -= 5;
    const char **items = arena_alloc(&cfg->arena, sizeof *items);
    if (!items || !(items[0] = arena_strdup(&cfg->arena, name, len)))
        return err_set(err, ERR_MEMORY, "out of memory");
    cfg->served_name = (struct option_list){items, 1};
    return 0;
}

/* Values that no row refuses by itself, but that contradict each other. */
static int check_together(const struct config *cfg, struct err *err)
{
    if (cfg->shape[0] && cfg->model[0])
        return err_param(err, ERR_ARGUMENT, "shape",
                         "shape: expected no model beside it, found model \"%.200s\"",
                         cfg->model);
    if (cfg->state_persist && (!cfg->state_dir[0] || !cfg->prefix_cache))
        return err_param(err, ERR_ARGUMENT, "state.persist",
                         "state.persist: expected state.dir and prefix_cache beside it, "
                         "found \"%.200s\" and %s",
                         cfg->state_dir, cfg->prefix_cache ? "on" : "off");
    if (cfg->watchdog_s > 0 && cfg->watchdog_s < WATCHDOG_LEAST_S)
        return err_param(err, ERR_ARGUMENT, "watchdog",
                         "watchdog: expected 0 or at least %g seconds, found %g",
                         WATCHDOG_LEAST_S, cfg->watchdog_s);
    if (cfg->keepalive_idle_s > 0 && cfg->keepalive_idle_s < cfg->body_timeout_s)
        return err_param(
            err, ERR_ARGUMENT, "keepalive_idle",
            "keepalive_idle: expected 0 or at least body_timeout (%g), found %g",
            cfg->body_timeout_s, cfg->keepalive_idle_s);
    if (cfg->max_uri_bytes > cfg->max_header_bytes)
        return err_param(
            err, ERR_ARGUMENT, "max_uri_bytes",
            "max_uri_bytes: expected at most max_header_bytes (%zu), found %zu",
            cfg->max_header_bytes, cfg->max_uri_bytes);
    return 0;
}

static int settle(struct config *cfg, struct err *err)
{
    int rc = check_together(cfg, err);
    if (rc == 0 && !cfg->model[0] && !cfg->shape[0])
        rc = default_model(cfg, err);
    if (rc == 0 && cfg->served_name.n == 0)
        rc = default_name(cfg, err);
    return rc;
}

int config_load(struct config *cfg, const struct config_input *in, struct err *err)
{
    *cfg = (struct config){.file = "", .input = in};
    arena_init(&cfg->arena);
    struct walk w = {.in = in, .cfg = cfg};
    struct options o = options_of(cfg);
    int rc = walk_flags(&w, err);
    if (rc || cfg->help)
        return rc;
    if (!cfg->file[0])
        cfg->file = file_variable(in->envp);
    rc = option_defaults(&o, err);
    if (rc == 0 && cfg->file[0])
        rc = apply_file(cfg->file, &o, err);
    if (rc == 0)
        rc = apply_env(in, &o, err);
    if (rc == 0)
        rc = apply_flags(&w, &o, err);
    return rc ? rc : settle(cfg, err);
}

void config_free(struct config *cfg)
{
    arena_free(&cfg->arena);
    *cfg = (struct config){0};
}

void config_print(const struct config *cfg, struct buf *out)
{
    struct config copy = *cfg; /* struct options wants a struct it may write */
    struct options o = options_of(&copy);
    option_print_json(&o, out);
}

void config_help(unsigned groups, struct buf *out)
{
    struct options o = {rows, N_ROWS, NULL, NULL};
    option_print_help(&o, groups, out);
}

void config_engine_options(const struct config *cfg, struct engine_options *o)
{
    *o = (struct engine_options){
        .model_dir = cfg->shape[0] ? NULL : cfg->model,
        .shape = cfg->shape[0] ? cfg->shape : NULL,
        .cpu = strcmp(cfg->cpu, "auto") == 0 ? NULL : cfg->cpu,
        .math = cfg->math,
        .weights = cfg->weights,
        .kv = cfg->kv,
        .pin = cfg->pin != 0,
        .n_threads = cfg->threads,
        .context_tokens = cfg->context,
        .memory_bytes = cfg->memory_bytes,
        .max_seqs = cfg->max_seqs,
        .prefix_cache = cfg->prefix_cache != 0,
        .checkpoint_bytes = cfg->checkpoint_bytes,
        .checkpoint_interval = cfg->checkpoint_interval,
        .speculate = cfg->speculate,
        .step_rows = cfg->step_rows,
        .max_waiting = cfg->queue_limit,
        .wide_wait_ns = (uint64_t)(cfg->wide_wait_s * 1e9),
        .model_defaults = cfg->model_defaults != 0,
    };
}
