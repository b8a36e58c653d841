/*
 * Help pages: prose here, everything a command takes from its row and the option table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/cmd/help.h"

#include "server/config/option_print.h"

static void put_everywhere(struct buf *out, unsigned groups)
{
    buf_puts(out, "\nEverywhere:\n");
    if (groups) {
        option_print_flag(out, "--config", "FILE", "read a JSON file of options first\n");
        option_print_flag(out, "--print-config", NULL,
                          "print the effective options as JSON and exit\n");
    }
    option_print_flag(out, "--help", NULL, "print this page\n");
    if (groups)
        buf_puts(
            out,
            "\nEach option is also a key of the JSON file and an environment variable:\n"
            "--max-seqs 8, {\"max_seqs\": 8} and SSMD_MAX_SEQS=8 say the same. A flag wins\n"
            "over the environment, the environment over the file, the file over the default\n"
            "[in brackets]. Times are seconds; sizes are bytes or text such as 512MiB.\n");
}

void help_command(const struct command *cmd, struct buf *out)
{
    buf_printf(out, "ssmd %s: %s.\n\nUsage: ssmd %s %s\n\n%s", cmd->name, cmd->summary,
               cmd->name, cmd->usage, cmd->text);
    if (cmd->n_flags)
        buf_puts(out, "\nOptions:\n");
    for (size_t i = 0; i < cmd->n_flags; i++) {
        option_print_flag(out, cmd->flags[i].name, cmd->flags[i].value,
                          cmd->flags[i].help);
        buf_putc(out, '\n');
    }
    if (cmd->groups) {
        buf_putc(out, '\n');
        config_help(cmd->groups, out);
    }
    put_everywhere(out, cmd->groups);
}

void help_program(struct buf *out)
{
    size_t n;
    const struct command *all = command_table(&n);
    buf_puts(
        out,
        "ssmd serves language models that mix attention with state spaces, on CPUs.\n"
        "The same request gives the same bytes: alone or among others, streamed or not,\n"
        "with any number of threads, before and after a restart.\n\n"
        "Usage: ssmd [COMMAND] [OPTION]...\n\nCommands:\n");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "  %-12s %s\n", all[i].name, all[i].summary);
    buf_printf(out, "  %-12s %s\n", "help COMMAND", "explain a command");
    buf_puts(
        out,
        "\nTry it:\n"
        "  ssmd --port 8080 &\n"
        "  curl http://127.0.0.1:8080/v1/completions -H 'Content-Type: application/json' -d \\\n"
        "    '{\"prompt\": \"The rain had stopped. She opened the window and\", "
        "\"max_tokens\": 80,\n"
        "      \"temperature\": 0.7, \"top_p\": 0.85, \"repetition_penalty\": 1.1, "
        "\"seed\": 15}'\n"
        "or open http://127.0.0.1:8080/ in a browser.\n\n"
        "Options of serve, the default command\n\n");
    config_help(CONFIG_ALL, out);
    put_everywhere(out, CONFIG_ALL);
    buf_puts(
        out,
        "\nExit codes: 0 done; 1 failed while running; 2 bad usage, configuration or "
        "model.\n"
        "--print-man prints the manual page, --print-completion a completion for bash.\n");
}
