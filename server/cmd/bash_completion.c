/*
 * A bash function that completes ssmd: commands, the options of each, the values of options
 * that have names, folders where an option wants one. Everything else falls to bash's
 * completion of files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/cmd/bash_completion.h"

#include "server/cmd/command.h"

#include <string.h>

static void put_options(struct buf *out, unsigned groups)
{
    size_t n;
    const struct option_row *rows = config_rows(&n);
    for (size_t i = 0; i < n; i++) {
        char flag[OPTION_NAME_CAP];
        if (!(rows[i].group & groups))
            continue;
        option_flag_name(&rows[i], flag);
        buf_printf(out, " %s", flag);
    }
    if (groups)
        buf_puts(out, " --config --print-config");
}

/* What a command takes: `serve) words='--help --model …' ;;` */
static void put_command(struct buf *out, const struct command *cmd)
{
    buf_printf(out, "    %s) words='--help", cmd->name);
    for (size_t i = 0; i < cmd->n_flags; i++)
        buf_printf(out, " %s", cmd->flags[i].name);
    put_options(out, cmd->groups);
    buf_puts(out, "' ;;\n");
}

/* What may follow an option, where that is known. */
static void put_value(struct buf *out, const struct option_row *row)
{
    char flag[OPTION_NAME_CAP];
    option_flag_name(row, flag);
    if (strcmp(row->value, "DIR") == 0)
        buf_printf(out, "    %s) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n",
                   flag);
    if (!row->names)
        return;
    buf_printf(out, "    %s) words='", flag);
    for (const char *const *name = row->names; *name; name++)
        buf_printf(out, "%s ", *name);
    buf_puts(out, "' ;;\n");
}

static void put_values(struct buf *out)
{
    size_t n;
    const struct option_row *rows = config_rows(&n);
    for (size_t i = 0; i < n; i++)
        put_value(out, &rows[i]);
    buf_puts(out, "    --*) [[ $cur == -* ]] || return ;;\n");
}

static const char head[] =
    "# bash completion for ssmd " SSMD_VERSION "\n"
    "_ssmd()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local command=serve words='' names='help";

static const char middle[] =
    "'\n"
    "    if [[ $cur == '=' ]]; then\n"
    "        cur=''\n"
    "    elif [[ $prev == '=' ]]; then\n"
    "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    fi\n"
    "    [[ $COMP_CWORD -gt 1 && \" $names \" == *\" ${COMP_WORDS[1]} \"* ]] &&\n"
    "        command=${COMP_WORDS[1]}\n"
    "    case $prev in\n";

static const char commands[] = "    esac\n"
                               "    if [[ -z $words ]]; then\n"
                               "    case $command in\n"
                               "    help) words=$names ;;\n";

static const char tail[] =
    "    esac\n"
    "    [[ $COMP_CWORD -ne 1 ]] || words=\"$names --version $words\"\n"
    "    fi\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
    "}\n"
    "complete -o default -F _ssmd ssmd\n";

void bash_completion_print(struct buf *out)
{
    size_t n;
    const struct command *all = command_table(&n);
    buf_puts(out, head);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, " %s", all[i].name);
    buf_puts(out, middle);
    put_values(out);
    buf_puts(out, commands);
    for (size_t i = 0; i < n; i++)
        put_command(out, &all[i]);
    buf_puts(out, tail);
}
