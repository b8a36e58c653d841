/*
 * The commands with their own flags and help texts. A new command is a file cmd_<name>.c,
 * its function in cmd.h, and a row here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/cmd/command.h"

#include "server/cmd/cmd.h"

#include <stdio.h>
#include <string.h>

static int run_serve(const struct config *cfg, const char *const *values,
                     const char *const *operands)
{
    (void)values;
    (void)operands;
    return cmd_serve(cfg);
}

static int run_check(const struct config *cfg, const char *const *values,
                     const char *const *operands)
{
    (void)operands;
    return cmd_check(cfg, values);
}

static int run_health(const struct config *cfg, const char *const *values,
                      const char *const *operands)
{
    (void)operands;
    return cmd_health(cfg, values);
}

static int run_chat(const struct config *cfg, const char *const *values,
                    const char *const *operands)
{
    (void)operands;
    return cmd_chat(cfg, values);
}

static int run_logits(const struct config *cfg, const char *const *values,
                      const char *const *operands)
{
    (void)operands;
    return cmd_logits(cfg, values);
}

static int run_bench(const struct config *cfg, const char *const *values,
                     const char *const *operands)
{
    (void)operands;
    return cmd_bench(cfg, values);
}

static int run_version(const struct config *cfg, const char *const *values,
                       const char *const *operands)
{
    (void)cfg;
    (void)values;
    (void)operands;
    puts("ssmd " SSMD_VERSION);
    return CMD_OK;
}

static const struct config_flag check_flags[] = {
    [CHECK_SIZES] = {"--sizes", NULL,
                     "tell what the model is, without reading its weights"},
};

static const struct config_flag health_flags[] = {
    [HEALTH_URL] = {"--url", "URL", "ask here, by default the host's /readyz"},
};

#define URL_HELP "a running daemon; without it one is started and ended"

static const struct config_flag chat_flags[] = {
    SAMPLING_FLAGS_ROWS("tokens of an answer, by default what the daemon allows"),
    [CHAT_FLAG_URL] = {"--url", "URL", URL_HELP},
    [CHAT_FLAG_SYSTEM] = {"--system", "TEXT", "instructions before all messages"},
};

static const struct config_flag complete_flags[] = {
    SAMPLING_FLAGS_ROWS("tokens of the completion, by default 16"),
    [COMPLETE_URL] = {"--url", "URL", URL_HELP},
};

static const struct config_flag logits_flags[] = {
    [LOGITS_IDS] = {"--ids", "1,2,3", "token ids of the sequence; no BOS is added"},
    [LOGITS_SPLIT] = {"--split", "5,1,7",
                      "run it in pieces of these lengths; no bit changes"},
    [LOGITS_GREEDY] = {"--greedy", "N", "print the N ids that follow, as a JSON array"},
    [LOGITS_OUT] = {"--out", "FILE",
                    "f32 little-endian [T,V]; row t predicts after ids[0..t]"},
};

static const struct config_flag perplexity_flags[] = {
    [PERPLEXITY_JSON] = {"--json", NULL, "print one JSON object and nothing else"},
};

static const struct config_flag bench_flags[] = {
    [BENCH_PREFILL] = {"--prefill", "512,2048", "read prompts of these lengths"},
    [BENCH_DECODE] = {"--decode", "1,16", "decode with so many sequences together"},
    [BENCH_DEPTH] = {"--depth", "0,4096", "each case behind so many tokens of context"},
    [BENCH_FORMAT] = {"--format", "f32,q8", "each case with these --weights"},
    [BENCH_RUNS] = {"--runs", "5", "alternating runs of every case"},
    [BENCH_JSON] = {"--json", NULL, "print one JSON object and nothing else"},
    [BENCH_PEER] = {"--peer", NULL, "run for run beside llama.cpp, on a Llama shape"},
};

static const struct config_flag quantize_flags[] = {
    [QUANTIZE_WEIGHTS] = {"--weights", "TYPE", "f32, bf16, q8 or q4"},
};

/* A daemon of one's own listens on loopback, on any port. */
enum { CLIENT_GROUPS = CONFIG_ALL & ~CONFIG_LISTEN };

static const struct command commands[] = {
    {"serve", "[OPTION]...", "serve a model over HTTP (the default command)",
     "Loads the model and answers OpenAI-style requests until SIGTERM or SIGINT, then lets\n"
     "running requests finish and exits.\n",
     CONFIG_ALL, NULL, 0, 0, run_serve},
    {"check", "[OPTION]...", "check a configuration and a model folder without serving",
     "Reads the configuration, opens the model and prints what it is and what it would use.\n"
     "With --shape FILE --sizes a config.json alone tells what its model would need.\n",
     CONFIG_ALL, check_flags, CHECK_N, 0, run_check},
    {"health", "[--host ADDR] [--port N] | --url URL",
     "ask a running daemon whether it is ready",
     "Exits with 0 when GET /readyz answers 200, else with 1 and the reason on standard error.\n"
     "Host and port come from the daemon's configuration. For images without a shell.\n",
     CONFIG_LISTEN, health_flags, HEALTH_N, 0, run_health},
    {"chat", "[--url URL | OPTION...]", "talk with a model",
     "A line is a message; /help lists the commands, among them /save and /load of a conversation\n"
     "with the model's state, which want a --state-dir to outlive the command; the messages are\n"
     "kept there as NAME.chat.json, with --url in the working directory. Ctrl-C stops an answer.\n"
     "When standard input is no terminal, answers alone are written and an error ends it.\n"
     "With --url a running daemon is asked (SSMD_API_KEY is its key) and options of a daemon have\n"
     "no effect; else a daemon with the given options runs as long as the command.\n",
     CLIENT_GROUPS, chat_flags, CHAT_FLAGS_N, 0, run_chat},
    {"complete", "[--url URL | OPTION...] [TEXT | -]", "write what follows a text",
     "Streams the completion of TEXT, or of standard input, to standard output and adds nothing\n"
     "to it. With --url a running daemon is asked (SSMD_API_KEY is its key) and options of a\n"
     "daemon have no effect; else a daemon with the given options runs as long as the command.\n",
     CLIENT_GROUPS, complete_flags, COMPLETE_N, 1, cmd_complete},
    {"perplexity", "[--model DIR] [--json] FILE", "score a text file with the model",
     "Cuts the text's tokens into windows of at most --context tokens and prints tokens, nats,\n"
     "perplexity per token and per word, and bits per byte. FILE is plain text.\n",
     CONFIG_MODEL | CONFIG_COMPUTE, perplexity_flags, PERPLEXITY_N, 1, cmd_perplexity},
    {"logits", "--model DIR --ids 1,2,3 --out FILE", "write the model's raw predictions",
     "Needs no tokenizer. With --greedy the ids that follow go to standard output.\n",
     CONFIG_MODEL | CONFIG_COMPUTE, logits_flags, LOGITS_N, 0, run_logits},
    {"bench", "[--model DIR | --shape FILE] [OPTION]...",
     "measure speed beside the machine's limits",
     "Runs every case in turn, several times, and the machine's own limits between them: memory\n"
     "read, f32 and int8 multiply-adds. A context is filled with made-up values, not computed.\n",
     CONFIG_MODEL | CONFIG_COMPUTE, bench_flags, BENCH_N, 0, run_bench},
    {"quantize", "MODEL OUT --weights TYPE", "write a model folder with other weights",
     "OUT is a new folder: MODEL's files, and its weights in one model.safetensors, where q8\n"
     "and q4 are laid out to be used in place. Opened with --weights own or the same TYPE it\n"
     "computes what MODEL computes with --weights TYPE, bit for bit.\n",
     0, quantize_flags, QUANTIZE_N, 2, cmd_quantize},
    {"version", "", "print the version", "", 0, NULL, 0, 0, run_version},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

const struct command *command_table(size_t *n)
{
    *n = N_COMMANDS;
    return commands;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}
