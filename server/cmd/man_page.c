/*
 * ssmd(1). The prose is here; commands, options, defaults and help come from their tables.
 * The subtle point: text of a table is escaped, for man(7) reads a backslash, a hyphen and
 * a line that begins with a dot or a quote as its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/cmd/man_page.h"

#include "server/cmd/command.h"

#include <ctype.h>
#include <string.h>

/* Text as itself, from wherever the output stands in a line. */
static void put_text(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        bool line_start = out->len == 0 || out->data[out->len - 1] == '\n';
        if (line_start && (*p == '.' || *p == '\''))
            buf_puts(out, "\\&");
        if (*p == '\\')
            buf_puts(out, "\\e");
        else if (*p == '-')
            buf_puts(out, "\\-");
        else
            buf_putc(out, *p);
    }
}

/* One entry of a list: the flag and its value stand out, the help follows indented. */
static void put_flag(struct buf *out, const char *flag, const char *value,
                     const char *help)
{
    buf_puts(out, ".TP\n\\fB");
    put_text(out, flag);
    buf_puts(out, "\\fR");
    if (value) {
        buf_puts(out, " \\fI");
        put_text(out, value);
        buf_puts(out, "\\fR");
    }
    buf_putc(out, '\n');
    put_text(out, help);
    buf_putc(out, '\n');
}

static void put_command(struct buf *out, const struct command *cmd)
{
    buf_printf(out, ".SS %s\n.B ssmd %s\n", cmd->name, cmd->name);
    put_text(out, cmd->usage);
    buf_puts(out, "\n.PP\n");
    buf_putc(out, (char)toupper((unsigned char)cmd->summary[0]));
    put_text(out, cmd->summary + 1);
    buf_puts(out, ".\n");
    put_text(out, cmd->text);
    for (size_t i = 0; i < cmd->n_flags; i++)
        put_flag(out, cmd->flags[i].name, cmd->flags[i].value, cmd->flags[i].help);
}

static void put_commands(struct buf *out)
{
    size_t n;
    const struct command *all = command_table(&n);
    buf_puts(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < n; i++)
        put_command(out, &all[i]);
}

static void put_option(struct buf *out, const struct option_row *row)
{
    char flag[OPTION_NAME_CAP];
    option_flag_name(row, flag);
    put_flag(out, flag, row->value, row->help);
    if (!row->initial[0])
        return;
    buf_puts(out, "[");
    put_text(out, row->initial);
    buf_puts(out, "]\n");
}

static void put_options(struct buf *out)
{
    size_t n;
    const struct option_row *rows = config_rows(&n);
    const char *section = "";
    buf_puts(out, ".SH OPTIONS\n"
                  "Those of\n.BR serve ,\n"
                  "with their defaults in brackets; other commands take the ones that\n"
                  "concern a model and how it is computed.\n");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(section, rows[i].section) != 0)
            buf_printf(out, ".SS %s\n", rows[i].section);
        section = rows[i].section;
        put_option(out, &rows[i]);
    }
    buf_puts(out, ".SS Everywhere\n");
    put_flag(out, "--config", "FILE", "read a JSON file of options first");
    put_flag(out, "--print-config", NULL, "print the effective options as JSON and exit");
    put_flag(out, "--help", NULL, "print the options of a command");
}

static const char head[] =
    ".TH SSMD 1 " SSMD_DATE " \"ssmd " SSMD_VERSION "\" \"User Commands\"\n"
    ".SH NAME\n"
    "ssmd \\- serve hybrid state\\-space and Transformer models on CPUs\n"
    ".SH SYNOPSIS\n"
    ".B ssmd\n[\\fICOMMAND\\fR] [\\fIOPTION\\fR]...\n"
    ".SH DESCRIPTION\n"
    "Serves a language model over HTTP, with OpenAI\\(aqs routes. The same request gives the\n"
    "same bytes: alone or among others, streamed or not, with any number of threads, before\n"
    "and after a restart. Without a command it does what\n.B serve\ndoes; without a model it\n"
    "serves the small one that is installed with it.\n";

static const char tail[] =
    ".SH CONFIGURATION\n"
    "Each option is also a key of the JSON file and an environment variable:\n"
    ".BR \"\\-\\-max\\-seqs 8\" ,\n.B {\\(dqmax_seqs\\(dq: 8}\nand\n.B SSMD_MAX_SEQS=8\n"
    "say the same. A flag wins over the environment, the environment over the file, the\n"
    "file over the default. Times are seconds; sizes are bytes or text such as 512MiB. A key\n"
    ".B //\nof the file is a comment.\n"
    ".SH SIGNALS\n"
    ".TP\n.BR SIGTERM \", \" SIGINT\n"
    "Stop: running requests finish within\n.BR \\-\\-drain\\-timeout .\n"
    ".TP\n.B SIGHUP\n"
    "Read the file of API keys anew.\n"
    ".SH EXIT STATUS\n"
    "0 done; 1 failed while running; 2 bad usage, configuration or model.\n"
    ".SH EXAMPLES\n"
    ".EX\n"
    "ssmd \\-\\-port 8080\n"
    "curl http://127.0.0.1:8080/v1/completions \\e\n"
    "  \\-H \\(aqContent\\-Type: application/json\\(aq \\e\n"
    "  \\-d \\(aq{\\(dqprompt\\(dq: \\(dqThe rain had stopped.\\(dq}\\(aq\n"
    ".EE\n";

void man_page_print(struct buf *out)
{
    buf_puts(out, head);
    put_commands(out);
    put_options(out);
    buf_puts(out, tail);
}
