/*
 * The program's entry: finds the command, reads the configuration for it, runs it. Main
 * thread. Refuses unknown commands and arguments with one line and exit code 2.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/base/mem.h"
#include "server/cmd/bash_completion.h"
#include "server/cmd/bus_error.h"
#include "server/cmd/cmd.h"
#include "server/cmd/command.h"
#include "server/cmd/config_page.h"
#include "server/cmd/help.h"
#include "server/cmd/man_page.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

extern char **environ;

/* First words that print something and need no configuration. */
static const struct {
    const char *word;
    void (*print)(struct buf *out);
} pages[] = {
    {"--help", help_program},
    {"-h", help_program},
    {"--print-man", man_page_print},
    {"--print-completion", bash_completion_print},
    {"--print-config-page", config_page_print},
};

static int print_page(void (*print)(struct buf *out))
{
    struct buf out = {0};
    print(&out);
    return cmd_print(&out);
}

static int print_command_help(const struct command *cmd)
{
    struct buf out = {0};
    help_command(cmd, &out);
    return cmd_print(&out);
}

static int print_config(const struct config *cfg)
{
    struct buf out = {0};
    config_print(cfg, &out);
    return cmd_print(&out);
}

static int refuse_word(const char *word)
{
    fprintf(stderr, "ssmd: unknown command \"%.80s\" (see ssmd --help)\n", word);
    return CMD_USAGE;
}

static int refuse(const struct command *cmd, const struct err *err)
{
    fprintf(stderr, "ssmd: %s (see ssmd help %s)\n", err->text, cmd->name);
    return CMD_USAGE;
}

static int help(const char *name)
{
    const struct command *cmd = name ? command_find(name) : NULL;
    if (!name)
        return print_page(help_program);
    return cmd ? print_command_help(cmd) : refuse_word(name);
}

static int run(const struct command *cmd, char *const *argv)
{
    const char *values[COMMAND_MAX_FLAGS] = {0}, *operands[COMMAND_MAX_OPERANDS] = {0};
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
        rc = print_command_help(cmd);
    else if (cfg.print_config)
        rc = print_config(&cfg);
    else
        rc = cmd->run(&cfg, values, operands);
    config_free(&cfg);
    return rc;
}

int main(int argc, char **argv)
{
    size_t n_commands;
    const struct command *serve = command_table(&n_commands);
    signal(SIGPIPE, SIG_IGN);
    bus_error_install();
    mem_few_arenas();
    if (argc < 2)
        return run(serve, argv + argc);
    const char *first = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(first, pages[i].word) == 0)
            return print_page(pages[i].print);
    if (strcmp(first, "help") == 0)
        return help(argv[2]);
    if (first[0] == '-')
        return run(serve, argv + 1);
    const struct command *cmd = command_find(first);
    return cmd ? run(cmd, argv + 2) : refuse_word(first);
}
