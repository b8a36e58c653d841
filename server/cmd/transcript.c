/* Messages as text; a file is read as JSON and written anew.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/cmd/transcript.h"

#include "engine/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 64 << 20 };

void transcript_free(struct transcript *t)
{
    buf_free(&t->system);
    buf_free(&t->turns);
    *t = (struct transcript){0};
}

static void put_message(struct buf *out, const char *role, const char *text, size_t len)
{
    buf_printf(out, ",{\"role\":\"%s\",\"content\":", role);
    buf_json_string(out, text, len);
    buf_putc(out, '}');
}

void transcript_instruct(struct transcript *t, const char *text, size_t len)
{
    buf_reset(&t->system);
    if (len)
        put_message(&t->system, "system", text, len);
}

void transcript_add(struct transcript *t, const char *role, const char *text, size_t len)
{
    t->last = t->turns.len;
    t->n_turns++;
    put_message(&t->turns, role, text, len);
}

void transcript_take_back(struct transcript *t)
{
    t->turns.len = t->last;
    if (t->turns.data)
        t->turns.data[t->last] = '\0';
    t->n_turns--;
}

void transcript_reset(struct transcript *t)
{
    buf_reset(&t->turns);
    t->n_turns = t->last = 0;
}

void transcript_put(const struct transcript *t, const char *more, struct buf *out)
{
    size_t begin = out->len;
    buf_put(out, t->system.data, t->system.len);
    buf_put(out, t->turns.data, t->turns.len);
    if (more)
        put_message(out, "user", more, strlen(more));
    out->failed |= t->system.failed || t->turns.failed;
    if (out->failed)
        return;
    if (out->len == begin)
        buf_putc(out, '[');
    else
        out->data[begin] = '['; /* in the place of the first comma */
    buf_putc(out, ']');
}

/* ---- files ------------------------------------------------------------------- */

static int file_error(const char *path, struct err *err)
{
    return err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
}

static int write_whole(const struct buf *text, const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_error(path, err);
    ssize_t n = 0;
    for (size_t at = 0; n >= 0 && at < text->len; at += (size_t)n)
        n = write(fd, text->data + at, text->len - at);
    int rc = n < 0 || fsync(fd) != 0 ? file_error(path, err) : 0;
    close(fd);
    return rc;
}

int transcript_write(const struct transcript *t, const char *path, struct err *err)
{
    char temporary[PATH_MAX];
    struct buf text = {0};
    buf_puts(&text, "{\"messages\":");
    transcript_put(t, NULL, &text);
    buf_puts(&text, "}\n");
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    int rc = text.failed ? err_set(err, ERR_MEMORY, "out of memory for a conversation")
                         : write_whole(&text, temporary, err);
    if (!rc && rename(temporary, path) != 0)
        rc = file_error(path, err);
    if (rc)
        unlink(temporary);
    buf_free(&text);
    return rc;
}

static int read_message(struct transcript *t, const struct json *message, bool first)
{
    static const char *const roles[] = {"user", "assistant"};
    size_t len;
    const char *role = json_as_string(json_get(message, "role"), NULL);
    const char *text = json_as_string(json_get(message, "content"), &len);
    if (!role || !text)
        return -ERR_FORMAT;
    for (int i = 0; i < 2; i++) {
        if (strcmp(role, roles[i]) != 0)
            continue;
        transcript_add(t, roles[i], text, len);
        return 0;
    }
    if (!first || strcmp(role, "system") != 0)
        return -ERR_FORMAT;
    transcript_instruct(t, text, len);
    return 0;
}

static int read_messages(struct transcript *t, const struct json *list, const char *path,
                         struct err *err)
{
    size_t n = json_len(list);
    int rc = json_kind(list) == JK_ARRAY ? 0 : -ERR_FORMAT;
    for (size_t i = 0; i < n && !rc; i++)
        rc = read_message(t, json_at(list, i), i == 0);
    if (rc)
        return err_set(err, ERR_FORMAT,
                       "%s: expected {\"messages\": [...]} as /save writes it", path);
    if (t->system.failed || t->turns.failed)
        rc = err_set(err, ERR_MEMORY, "out of memory for a conversation");
    return rc;
}

int transcript_read(struct transcript *t, const char *path, struct err *err)
{
    struct json *root = NULL;
    struct transcript read = {0};
    int rc = json_load(&root, path, FILE_BYTES, err);
    if (rc)
        return rc;
    rc = read_messages(&read, json_get(root, "messages"), path, err);
    json_free(root);
    if (rc) {
        transcript_free(&read);
        return rc;
    }
    transcript_free(t);
    *t = read;
    return 0;
}
