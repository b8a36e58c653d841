/*
 * `ssmd quantize`: a model folder with its weights in another format. Main thread.
 *
 * Everything is written into a folder of a passing name beside OUT, synced, and renamed
 * when it is whole; on any failure the passing folder is removed. Refuses an OUT that
 * exists. The model's other files are copied as they are (configuration, tokenizer,
 * licences), its weights in whatever format are not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/cmd/cmd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folders {
    const char *from, *to;
    char passing[PATH_MAX]; /* "" = not made */
};

static int failed(const char *path, struct err *err)
{
    int code =
        errno == ENOENT || errno == ENOTDIR || errno == EEXIST ? ERR_ARGUMENT : ERR_IO;
    return err_set(err, (enum err_code)code, "%.400s: %s", path, strerror(errno));
}

static int join(char out[PATH_MAX], const char *dir, const char *name, struct err *err)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return n < PATH_MAX ? 0 : err_set(err, ERR_ARGUMENT, "%.200s: path too long", dir);
}

/* ---- files that are copied -------------------------------------------------- */

static bool ends(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static bool is_weights(const char *name)
{
    static const char *const kinds[] = {".safetensors", ".safetensors.index.json",
                                        ".bin",         ".bin.index.json",
                                        ".pt",          ".pth",
                                        ".gguf",        ".onnx",
                                        ".h5",          ".msgpack"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (ends(name, kinds[i]))
            return true;
    return false;
}

static int copy_bytes(int from, int to, const char *from_path, const char *to_path,
                      struct err *err)
{
    char piece[65536];
    for (;;) {
        ssize_t n = read(from, piece, sizeof piece);
        if (n < 0)
            return failed(from_path, err);
        if (n == 0)
            return fsync(to) == 0 ? 0 : failed(to_path, err);
        for (ssize_t at = 0, m; at < n; at += m) {
            m = write(to, piece + at, (size_t)(n - at));
            if (m < 0)
                return failed(to_path, err);
        }
    }
}

static int copy_file(const struct folders *f, const char *name, struct err *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct stat st;
    int rc = join(from, f->from, name, err);
    if (rc == 0)
        rc = join(to, f->passing, name, err);
    if (rc)
        return rc;
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in < 0 || fstat(in, &st) != 0) {
        rc = failed(from, err);
    } else if (S_ISREG(st.st_mode)) {
        int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        rc = out < 0 ? failed(to, err) : copy_bytes(in, out, from, to, err);
        if (out >= 0 && close(out) != 0 && rc == 0)
            rc = failed(to, err);
    }
    if (in >= 0)
        close(in);
    return rc;
}

static int copy_others(const struct folders *f, struct err *err)
{
    DIR *dir = opendir(f->from);
    if (!dir)
        return failed(f->from, err);
    int rc = 0;
    for (const struct dirent *d; rc == 0 && (d = readdir(dir));)
        if (d->d_name[0] != '.' && !is_weights(d->d_name))
            rc = copy_file(f, d->d_name, err);
    closedir(dir);
    return rc;
}

/* ---- the folder ------------------------------------------------------------- */

static int make_passing(struct folders *f, struct err *err)
{
    struct stat st;
    size_t n = strlen(f->to);
    while (n > 1 && f->to[n - 1] == '/')
        n--;
    if (lstat(f->to, &st) == 0)
        return err_set(err, ERR_ARGUMENT,
                       "%.400s: exists already; expected the name of a new folder",
                       f->to);
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%.*s.partial-XXXXXX", (int)n, f->to) >= PATH_MAX)
        return err_set(err, ERR_ARGUMENT, "%.200s: path too long", f->to);
    if (!mkdtemp(path))
        return failed(path, err);
    memcpy(f->passing, path, sizeof path);
    mode_t mask = umask(0);
    umask(mask);
    return chmod(path, 0777 & ~mask) == 0 ? 0 : failed(path, err);
}

static void remove_passing(const struct folders *f)
{
    char path[PATH_MAX];
    DIR *dir = f->passing[0] ? opendir(f->passing) : NULL;
    if (!dir)
        return;
    for (const struct dirent *d; (d = readdir(dir));)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
            join(path, f->passing, d->d_name, NULL) == 0)
            unlink(path);
    closedir(dir);
    rmdir(f->passing);
}

static int sync_folder(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : failed(path, err);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int settle(struct folders *f, struct err *err)
{
    int rc = sync_folder(f->passing, err);
    if (rc)
        return rc;
    int renamed = renameat2(AT_FDCWD, f->passing, AT_FDCWD, f->to, RENAME_NOREPLACE);
    if (renamed != 0 && errno == EINVAL) /* a file system that cannot refuse */
        renamed = rename(f->passing, f->to);
    if (renamed != 0)
        return failed(f->to, err);
    f->passing[0] = '\0';
    char parent[PATH_MAX];
    return join(parent, f->to, "..", err) ? 0 : sync_folder(parent, err);
}

/* ---- the command ------------------------------------------------------------ */

static int read_type(const char *text, enum engine_weights *out, struct err *err)
{
    static const struct {
        const char *name;
        enum engine_weights type;
    } all[] = {{"f32", ENGINE_WEIGHTS_F32},
               {"bf16", ENGINE_WEIGHTS_BF16},
               {"q8", ENGINE_WEIGHTS_Q8},
               {"q4", ENGINE_WEIGHTS_Q4}};
    for (size_t i = 0; text && i < sizeof all / sizeof *all; i++)
        if (strcmp(text, all[i].name) == 0) {
            *out = all[i].type;
            return 0;
        }
    return err_param(err, ERR_ARGUMENT, "--weights",
                     "--weights: expected f32, bf16, q8 or q4, found %s%.40s%s",
                     text ? "\"" : "", text ? text : "nothing", text ? "\"" : "");
}

static int run(struct folders *f, const char *type_name, struct engine_converted *out,
               struct err *err)
{
    char path[PATH_MAX];
    enum engine_weights type = ENGINE_WEIGHTS_OWN;
    if (!f->from || !f->to)
        return err_set(err, ERR_ARGUMENT, "quantize: expected MODEL and OUT");
    int rc = read_type(type_name, &type, err);
    if (rc == 0)
        rc = make_passing(f, err);
    if (rc == 0)
        rc = join(path, f->passing, "model.safetensors", err);
    if (rc == 0)
        rc = engine_convert(f->from, type, path, out, err);
    if (rc == 0)
        rc = copy_others(f, err);
    return rc ? rc : settle(f, err);
}

int cmd_quantize(const struct config *cfg, const char *const *values,
                 const char *const *operands)
{
    (void)cfg;
    struct folders f = {.from = operands[0], .to = operands[1]};
    struct engine_converted done = {0};
    struct err err = {0};
    const char *type = values[QUANTIZE_WEIGHTS];
    if (run(&f, type, &done, &err) != 0) {
        remove_passing(&f);
        return cmd_fail(cmd_blame(&err), &err);
    }
    printf("%s: %s, %.2f million parameters, %.1f MiB of weights\n", f.to, type,
           (double)done.n_params / 1e6, (double)done.bytes / 0x1p20);
    return fflush(stdout) == 0 ? CMD_OK : CMD_FAILED;
}
