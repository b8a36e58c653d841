/*
 * Recognising what is not a model folder, before anything of it is parsed: a message that
 * names a GGUF file helps, one about the length of its header does not.
 *
 * A folder passes unless its weights or its configuration are of a kind that is never
 * read; whether the rest is complete is said by those who read it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "engine/load/model_path.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { KIND_OTHER, KIND_SAFETENSORS, KIND_GGUF, KIND_LFS, KIND_PICKLE };

enum { PATH_BYTES = 4096 };

static int refuse(struct err *err, const char *path, const char *found)
{
    return err_param(err, ERR_ARGUMENT, "model",
                     "model: expected a folder with config.json and weights in "
                     "safetensors, found %.300s: %s",
                     path, found);
}

static const char lfs_text[] =
    "a Git LFS pointer, not the file itself; run `git lfs pull` "
    "in the folder that it is from";

/* ---- files ------------------------------------------------------------------ */

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static bool begins(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* By its first bytes, then by its name; a file that cannot be read is its reader's. */
static enum kind kind_of(const char *path)
{
    char text[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = '\0';
    if (begins(text, "GGUF") || ends(path, ".gguf"))
        return KIND_GGUF;
    if (begins(text, "version https://git-lfs"))
        return KIND_LFS;
    if (ends(path, ".safetensors"))
        return KIND_SAFETENSORS;
    bool pickle = ends(path, ".bin") || ends(path, ".pt") || ends(path, ".pth");
    return pickle ? KIND_PICKLE : KIND_OTHER;
}

static int refuse_file(const char *path, struct err *err)
{
    static const char *const found[] = {
        [KIND_OTHER] = "a file",
        [KIND_SAFETENSORS] = "a single .safetensors file; give the folder that it is in, "
                             "with its config.json and tokenizer.json",
        [KIND_GGUF] = "a GGUF file, which ssmd does not read; give the folder of the "
                      "original model",
        [KIND_LFS] = lfs_text,
        [KIND_PICKLE] = "a file of pickled weights, which ssmd does not read",
    };
    return refuse(err, path, found[kind_of(path)]);
}

/* ---- names ------------------------------------------------------------------ */

/* org/name, where no folder org is at hand; or an address. */
static bool is_hub_id(const char *path)
{
    struct stat st;
    char org[256];
    const char *slash = strchr(path, '/');
    if (strstr(path, "://"))
        return true;
    if (!slash || slash == path || !slash[1] || path[0] == '.' || path[0] == '~' ||
        (size_t)(slash - path) >= sizeof org)
        return false;
    for (const char *c = path; *c; c++)
        if (c != slash && !isalnum((unsigned char)*c) && !strchr("._-", *c))
            return false;
    snprintf(org, sizeof org, "%.*s", (int)(slash - path), path);
    return stat(org, &st) != 0;
}

/* ---- folders ---------------------------------------------------------------- */

/* What a folder holds that decides whether it is one to be read. */
struct contents {
    bool weights, gguf, pickle;
    char shard[256];   /* of weights, or "" */
    char pointer[256]; /* a file to be read that is a Git LFS pointer, or "" */
};

static bool is_shard(const char *name)
{
    return (begins(name, "model-") || begins(name, "model.safetensors-")) &&
           ends(name, ".safetensors");
}

static bool is_read(const char *name)
{
    return strcmp(name, "config.json") == 0 || strcmp(name, "tokenizer.json") == 0 ||
           strcmp(name, "model.safetensors") == 0 ||
           strcmp(name, "model.safetensors.index.json") == 0 || is_shard(name);
}

static void look_at(struct contents *c, const char *dir, const char *name)
{
    char path[PATH_BYTES + 256];
    c->weights |= strcmp(name, "model.safetensors") == 0 ||
                  strcmp(name, "model.safetensors.index.json") == 0;
    if (is_shard(name) && (!c->shard[0] || strcmp(name, c->shard) < 0))
        snprintf(c->shard, sizeof c->shard, "%s", name);
    c->gguf |= ends(name, ".gguf");
    c->pickle |= begins(name, "pytorch_model") && strstr(name, ".bin");
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (!c->pointer[0] && is_read(name) && kind_of(path) == KIND_LFS)
        snprintf(c->pointer, sizeof c->pointer, "%s", name);
}

static int check_folder(const char *path, DIR *dir, struct err *err)
{
    struct contents c = {0};
    char file[PATH_BYTES + 256];
    for (const struct dirent *d; (d = readdir(dir));)
        look_at(&c, path, d->d_name);
    if (c.pointer[0]) {
        snprintf(file, sizeof file, "%s/%s", path, c.pointer);
        return refuse(err, file, lfs_text);
    }
    if (c.weights)
        return 0;
    if (c.shard[0])
        return err_param(
            err, ERR_ARGUMENT, "model",
            "model: %.300s: expected model.safetensors.index.json beside %s, "
            "found none: the download is not complete",
            path, c.shard);
    if (c.gguf)
        return refuse(err, path,
                      "a folder with a GGUF file, which ssmd does not read; give the "
                      "folder of the original model");
    if (c.pickle)
        return refuse(err, path,
                      "a folder with pytorch_model.bin, whose pickled weights ssmd does "
                      "not read; convert them to model.safetensors");
    return 0;
}

int model_path_check(const char *path, struct err *err)
{
    struct stat st;
    if (strlen(path) >= PATH_BYTES)
        return err_param(err, ERR_ARGUMENT, "model",
                         "model: expected a path below %d bytes, found %zu", PATH_BYTES,
                         strlen(path));
    if (stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return refuse(err, path,
                      is_hub_id(path) ? "not a folder; ssmd does not download: get the "
                                        "model first and give its folder"
                                      : strerror(errno));
    DIR *dir = opendir(path);
    if (!dir && errno == ENOTDIR)
        return refuse_file(path, err);
    if (!dir)
        return err_set(err, ERR_IO, "%.300s: %s", path, strerror(errno));
    int rc = check_folder(path, dir, err);
    closedir(dir);
    return rc;
}
