/*
 * Prints option tables. What it writes as JSON reads back to the same values, secrets
 * apart. The subtle point: rows with a common dotted prefix stand together in a table, so
 * one look at the row before is enough to know whether an object opens or closes. One
 * level of dots.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/config/option_print.h"

#include <stdio.h>
#include <string.h>

static void put_list(struct buf *out, const struct option_list *list)
{
    buf_putc(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        buf_puts(out, i ? ", " : "");
        buf_json_string(out, list->items[i], strlen(list->items[i]));
    }
    buf_putc(out, ']');
}

static void put_string(const struct option_row *row, struct buf *out, const char *s)
{
    if (row->secret && s[0])
        s = "***";
    buf_json_string(out, s, strlen(s));
}

static void put_int(const struct option_row *row, int x, struct buf *out)
{
    if (row->names && x < 0)
        put_string(row, out, row->names[-1 - x]);
    else
        buf_printf(out, "%d", x);
}

static void put_value(const struct option_row *row, const void *field, struct buf *out)
{
    switch (row->type) {
    case OPTION_STRING:
        put_string(row, out, *(const char *const *)field);
        break;
    case OPTION_INT:
        put_int(row, *(const int *)field, out);
        break;
    case OPTION_BYTES:
        buf_printf(out, "%zu", *(const size_t *)field);
        break;
    case OPTION_SECONDS:
        buf_json_number(out, *(const double *)field);
        break;
    case OPTION_CHOICE:
        put_string(row, out, row->names[*(const int *)field]);
        break;
    case OPTION_LIST:
        put_list(out, field);
        break;
    }
}

/* Length of "state." in "state.dir", 0 without a dot. */
static size_t prefix_len(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot ? (size_t)(dot - name) + 1 : 0;
}

void option_print_json(const struct options *o, struct buf *out)
{
    size_t open = 0; /* length of the prefix whose object is open */
    const char *before = "";
    for (size_t i = 0; i < o->n; i++) {
        const struct option_row *row = &o->rows[i];
        size_t len = prefix_len(row->name);
        bool same = len == open && memcmp(before, row->name, len) == 0;
        buf_puts(out, i == 0 ? "{" : open && !same ? "\n    }," : ",");
        if (len && !same)
            buf_printf(out, "\n    \"%.*s\": {", (int)len - 1, row->name);
        buf_printf(out, "\n%s\"%s\": ", len ? "        " : "    ", row->name + len);
        put_value(row, (const char *)o->base + row->offset, out);
        open = len;
        before = row->name;
    }
    buf_puts(out, open ? "\n    }\n}\n" : "\n}\n");
}

void option_print_flag(struct buf *out, const char *flag, const char *value,
                       const char *help)
{
    char left[OPTION_NAME_CAP + 32];
    snprintf(left, sizeof left, "%s%s%s", flag, value ? " " : "", value ? value : "");
    buf_printf(out, "  %-26s  %s", left, help);
}

void option_print_help(const struct options *o, unsigned groups, struct buf *out)
{
    const char *section = NULL;
    for (size_t i = 0; i < o->n; i++) {
        const struct option_row *row = &o->rows[i];
        if (!(row->group & groups))
            continue;
        if (!section || strcmp(section, row->section) != 0)
            buf_printf(out, "%s%s:\n", section ? "\n" : "", row->section);
        section = row->section;
        char flag[OPTION_NAME_CAP];
        option_flag_name(row, flag);
        option_print_flag(out, flag, row->value, row->help);
        if (row->initial[0])
            buf_printf(out, " [%s]", row->initial);
        buf_putc(out, '\n');
    }
}
