/*
 * The page about configuration: prose here, a table for each section from the option
 * table. Pure; any thread. The subtle point: a bar inside a cell is escaped, or it would
 * end the cell.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/cmd/config_page.h"

#include "server/config/config.h"

#include <string.h>

static const char head[] =
    "# Configuration\n"
    "\n"
    "This page is printed by `ssmd --print-config-page` (`make docs` rewrites it).\n"
    "\n"
    "A key is set, in order of precedence upward, by its default, a JSON file (`--config "
    "FILE` or\n"
    "`SSMD_CONFIG`), the environment, a flag: `{\"max_seqs\": 8}`, `SSMD_MAX_SEQS=8` and "
    "`--max-seqs 8` set\n"
    "the same key. A dotted key is a member of an object: `{\"state\": {\"dir\": \"/srv\"}}`,\n"
    "`SSMD_STATE_DIR`, `--state-dir`. Times are seconds; sizes are bytes or text such as "
    "`\"512MiB\"`.\n"
    "\n"
    "Unknown keys, wrong types and impossible values are start-up errors that name the key, "
    "where it was\n"
    "set, what was expected and what was found. `ssmd serve --print-config` prints the values "
    "in force, with\n"
    "secrets masked; [`configs/default.json`](../configs/default.json) is its output with no "
    "key set. SIGHUP\n"
    "reads keys and the log level again.\n";

static void put_cell(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '|')
            buf_putc(out, '\\');
        buf_putc(out, *p);
    }
}

static void put_row(struct buf *out, const struct option_row *row)
{
    char flag[OPTION_NAME_CAP];
    option_flag_name(row, flag);
    buf_printf(out, "| `%s` | `%s %s` | ", row->name, flag, row->value);
    if (row->initial[0])
        buf_printf(out, "`%s`", row->initial);
    buf_puts(out, " | ");
    put_cell(out, row->help);
    buf_puts(out, " |\n");
}

void config_page_print(struct buf *out)
{
    size_t n;
    const struct option_row *rows = config_rows(&n);
    const char *section = "";
    buf_puts(out, head);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(section, rows[i].section) != 0)
            buf_printf(out,
                       "\n## %s\n\n| key | flag | default | meaning |\n"
                       "| --- | --- | --- | --- |\n",
                       rows[i].section);
        section = rows[i].section;
        put_row(out, &rows[i]);
    }
}
