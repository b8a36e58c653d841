/*
 * The program's entry: finds the command, reads the configuration for it, runs it.
 * Everything a command takes is a row of the table; help pages come from the same rows.
 * Refuses unknown commands and arguments with one line and exit code 2.
 */
#include "server/cmd/cmd.h"
#include "server/config/option_print.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#ifndef SSMD_VERSION
#define SSMD_VERSION "unknown"
#endif

extern char **environ;

enum { MAX_FLAGS = 8, MAX_OPERANDS = 2 };

struct command {
    const char *name;
    const char *usage;   /* what follows the name */
    const char *summary; /* one line */
    const char *text;    /* the rest of the help page */
    unsigned groups;     /* configuration keys taken as flags */
    const struct config_flag *flags;
    size_t n_flags;
    int n_operands; /* at most MAX_OPERANDS */
    int (*run)(const struct config *cfg, const char *const *values,
               const char *const *operands);
};

/* ---- commands --------------------------------------------------------------- */

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
    (void)values;
    (void)operands;
    return cmd_check(cfg);
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

static const struct command commands[] = {
    {"serve", "[OPTION]...", "serve a model over HTTP (the default command)",
     "Loads the model and answers OpenAI-style requests until SIGTERM or SIGINT, then lets\n"
     "running requests finish and exits.\n",
     CONFIG_ALL, NULL, 0, 0, run_serve},
    {"check", "[OPTION]...", "check a configuration and a model folder without serving",
     "Reads the configuration, opens the model and prints what it is and what it would use.\n",
     CONFIG_ALL, NULL, 0, 0, run_check},
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

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* ---- help ------------------------------------------------------------------- */

static void help_everywhere(struct buf *b, unsigned groups)
{
    buf_puts(b, "\nEverywhere:\n");
    if (groups) {
        option_print_flag(b, "--config", "FILE", "read a JSON file of options first\n");
        option_print_flag(b, "--print-config", NULL,
                          "print the effective options as JSON and exit\n");
    }
    option_print_flag(b, "--help", NULL, "print this page\n");
    if (groups)
        buf_puts(
            b,
            "\nEach option is also a key of the JSON file and an environment variable:\n"
            "--max-seqs 8, {\"max_seqs\": 8} and SSMD_MAX_SEQS=8 say the same. A flag wins\n"
            "over the environment, the environment over the file, the file over the default\n"
            "[in brackets]. Times are seconds; sizes are bytes or text such as 512MiB.\n");
}

static int flush(struct buf *b)
{
    bool good =
        !b->failed && fwrite(b->data, 1, b->len, stdout) == b->len && !fflush(stdout);
    buf_free(b);
    return good ? CMD_OK : CMD_FAILED;
}

static int help_command(const struct command *cmd)
{
    struct buf b = {0};
    buf_printf(&b, "ssmd %s: %s.\n\nUsage: ssmd %s %s\n\n%s", cmd->name, cmd->summary,
               cmd->name, cmd->usage, cmd->text);
    if (cmd->n_flags)
        buf_puts(&b, "\nOptions:\n");
    for (size_t i = 0; i < cmd->n_flags; i++) {
        option_print_flag(&b, cmd->flags[i].name, cmd->flags[i].value,
                          cmd->flags[i].help);
        buf_putc(&b, '\n');
    }
    if (cmd->groups) {
        buf_putc(&b, '\n');
        config_help(cmd->groups, &b);
    }
    help_everywhere(&b, cmd->groups);
    return flush(&b);
}

static int help_program(void)
{
    struct buf b = {0};
    buf_puts(
        &b,
        "ssmd serves language models that mix attention with state spaces, on CPUs.\n"
        "The same request gives the same bytes: alone or among others, streamed or not,\n"
        "with any number of threads, before and after a restart.\n\n"
        "Usage: ssmd [COMMAND] [OPTION]...\n\nCommands:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        buf_printf(&b, "  %-12s %s\n", commands[i].name, commands[i].summary);
    buf_printf(&b, "  %-12s %s\n", "help COMMAND", "explain a command");
    buf_puts(
        &b,
        "\nTry it:\n"
        "  ssmd --port 8080 &\n"
        "  curl http://127.0.0.1:8080/v1/completions -H 'Content-Type: application/json' -d \\\n"
        "    '{\"prompt\": \"The rain had stopped. She opened the window and\", "
        "\"max_tokens\": 80,\n"
        "      \"temperature\": 0.7, \"top_p\": 0.85, \"repetition_penalty\": 1.1, "
        "\"seed\": 15}'\n"
        "or open http://127.0.0.1:8080/ in a browser.\n\n"
        "Options of serve, the default command\n\n");
    config_help(CONFIG_ALL, &b);
    help_everywhere(&b, CONFIG_ALL);
    buf_puts(
        &b, "\nExit codes: 0 done; 1 failed while running; 2 bad usage, configuration or "
            "model.\n");
    return flush(&b);
}

static int usage_error(const char *what, const char *found, const char *see)
{
    fprintf(stderr, "ssmd: %s \"%.80s\" (see ssmd %s)\n", what, found, see);
    return CMD_USAGE;
}

static int help(char *const *argv)
{
    if (!argv[0])
        return help_program();
    const struct command *cmd = find_command(argv[0]);
    return cmd ? help_command(cmd) : usage_error("unknown command", argv[0], "--help");
}

/* ---- dispatch --------------------------------------------------------------- */

static int print_config(const struct config *cfg)
{
    struct buf b = {0};
    config_print(cfg, &b);
    return flush(&b);
}

static int refuse(const struct command *cmd, const struct err *err)
{
    fprintf(stderr, "ssmd: %s (see ssmd help %s)\n", err->text, cmd->name);
    return CMD_USAGE;
}

static int run(const struct command *cmd, char *const *argv)
{
    const char *values[MAX_FLAGS] = {0}, *operands[MAX_OPERANDS] = {0};
    struct config_input in = {
        .argv = argv,
        .envp = environ,
        .groups = cmd->groups,
        .flags = cmd->flags,
        .n_flags = cmd->n_flags,
        .values = values,
        .operand = cmd->n_operands ? operands : NULL,
        .more_operands = cmd->n_operands ? (size_t)cmd->n_operands - 1 : 0,
    };
    struct config cfg;
    struct err err = {0};
    int rc = config_load(&cfg, &in, &err);
    if (rc)
        rc = refuse(cmd, &err);
    else if (cfg.help)
        rc = help_command(cmd);
    else if (cfg.print_config)
        rc = print_config(&cfg);
    else
        rc = cmd->run(&cfg, values, operands);
    config_free(&cfg);
    return rc;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return run(&commands[0], argv + argc);
    const char *first = argv[1];
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        return help_program();
    if (strcmp(first, "--version") == 0)
        return run_version(NULL, NULL, NULL);
    if (strcmp(first, "help") == 0)
        return help(argv + 2);
    if (first[0] == '-')
        return run(&commands[0], argv + 1);
    const struct command *cmd = find_command(first);
    return cmd ? run(cmd, argv + 2) : usage_error("unknown command", first, "--help");
}
