/* Reads and writes quantised tensors. A written file has its quantised arrays first: the
 * size of each is a multiple of 64 bytes, so each begins at such a multiple.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/load/quant_file.h"

#include "engine/base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NAME_CAP = 600, NOTE_CAP = 64, ALIGN = 64 };

static const char layout_key[] = "ssmd.layout", layout_version[] = "1";

static const char *const suffixes[] = {[DTYPE_Q8] = ".q8", [DTYPE_Q4] = ".q4"};

static void join(char out[NAME_CAP], const char *prefix, const char *name,
                 const char *suffix)
{
    snprintf(out, NAME_CAP, "%s%s%s", prefix, name, suffix);
}

static void print_sizes(char out[NOTE_CAP], const struct matrix *m)
{
    snprintf(out, NOTE_CAP, "[%d,%d]", m->n_out, m->n_in);
}

/* [panels, groups, 8 | 4, 32, 4], of which scales have [panels, groups, 32]. */
static void code_shape(int64_t shape[5], const struct matrix *m)
{
    shape[0] = matrix_panels(m->n_out);
    shape[1] = (int64_t)matrix_groups(m->n_in);
    shape[2] = m->type == DTYPE_Q8 ? 8 : 4;
    shape[3] = PANEL;
    shape[4] = 4;
}

static void scale_shape(int64_t shape[3], const struct matrix *m)
{
    int64_t codes[5];
    code_shape(codes, m);
    shape[0] = codes[0];
    shape[1] = codes[1];
    shape[2] = PANEL;
}

/* ---- taking ----------------------------------------------------------------- */

static bool has_as(const struct weights *w, const char *name, enum dtype type)
{
    char full[NAME_CAP];
    join(full, "", name, suffixes[type]);
    return weights_find(w, full) != NULL;
}

bool quant_file_has(const struct weights *w, const char *name)
{
    return !weights_find(w, name) &&
           (has_as(w, name, DTYPE_Q8) || has_as(w, name, DTYPE_Q4));
}

static int check_note(const struct weights *w, const char *key, const char *expected,
                      struct err *err)
{
    const char *found = weights_note(w, key);
    if (found && strcmp(found, expected) == 0)
        return 0;
    return err_set(
        err, ERR_FORMAT, "__metadata__: %.200s: expected \"%s\", found %s%.60s%s", key,
        expected, found ? "\"" : "", found ? found : "nothing", found ? "\"" : "");
}

/* The array in place where it is aligned for kernels, else an aligned copy. */
static const void *settle(struct tensor *t, struct arena *a)
{
    if ((uintptr_t)t->data % ALIGN == 0) {
        t->kept = t->hot = true;
        return t->data;
    }
    void *copy = arena_alloc(a, t->bytes);
    return copy ? memcpy(copy, t->data, t->bytes) : NULL;
}

static unsigned scale_at(const struct tensor *scales, size_t i)
{
    uint16_t h;
    memcpy(&h, (const char *)scales->data + 2 * i, sizeof h);
    return h & 0x7fff;
}

/* Whether the scales of the padding after the last output are 0. */
static bool absent_outputs(const struct matrix *m, const struct tensor *scales)
{
    int last = matrix_panels(m->n_out) - 1, used = m->n_out - last * PANEL;
    size_t groups = matrix_groups(m->n_in), first = (size_t)last * groups;
    bool good = true;
    for (size_t g = first; g < first + groups; g++)
        for (int o = used; o < PANEL; o++)
            good = good && scale_at(scales, g * PANEL + (size_t)o) == 0;
    return good;
}

/* Whether all outputs have the code of padding for input k of a group. */
static bool absent_input(const struct matrix *m, const uint8_t *tile, int k)
{
    int j = (m->type == DTYPE_Q8 ? k : k % 16) / 4;
    int absent = m->type == DTYPE_Q8 ? 128 : 0, shift = k < 16 ? 0 : 4;
    bool good = true;
    for (int o = 0; o < PANEL; o++) {
        int byte = tile[(j * PANEL + o) * 4 + k % 4];
        good = good && (m->type == DTYPE_Q8 ? byte : byte >> shift & 15) == absent;
    }
    return good;
}

static bool absent_inputs(const struct matrix *m, const struct tensor *codes)
{
    size_t tile = matrix_tile_bytes(m->type), groups = matrix_groups(m->n_in);
    int used = m->n_in - (int)(groups - 1) * QUANT_GROUP;
    const uint8_t *data = codes->data;
    bool good = true;
    for (size_t p = 1; p <= (size_t)matrix_panels(m->n_out); p++)
        for (int k = used; k < QUANT_GROUP; k++)
            good = good && absent_input(m, data + p * groups * tile - tile, k);
    return good;
}

static int check_absent(const struct matrix *m, const struct tensor *codes,
                        const struct tensor *scales, struct err *err)
{
    if (!absent_outputs(m, scales))
        return err_set(err, ERR_FORMAT,
                       "%s: tensor %.200s: expected scales of 0 behind output %d, found "
                       "another",
                       scales->file, scales->name, m->n_out - 1);
    if (!absent_inputs(m, codes))
        return err_set(err, ERR_FORMAT,
                       "%s: tensor %.200s: expected codes of %d behind input %d, found "
                       "another",
                       codes->file, codes->name, m->type == DTYPE_Q8 ? 128 : 0,
                       m->n_in - 1);
    return 0;
}

static int check_values(const struct matrix *m, const struct tensor *codes,
                        const struct tensor *scales, struct err *err)
{
    enum { F16_INF = 0x7c00 };
    unsigned worst = 0;
    if (m->type == DTYPE_Q8 && memchr(codes->data, 0, codes->bytes))
        return err_set(err, ERR_FORMAT,
                       "%s: tensor %.200s: expected codes from 1 to 255, found 0",
                       codes->file, codes->name);
    for (size_t i = 0; i < scales->bytes / 2; i++) {
        unsigned h = scale_at(scales, i);
        worst = h > worst ? h : worst;
    }
    return worst < F16_INF ? check_absent(m, codes, scales, err)
                           : err_set(err, ERR_FORMAT,
                                     "%s: tensor %.200s: expected finite scales, found "
                                     "one that is not",
                                     scales->file, scales->name);
}

static int take_parts(const struct matrix *m, struct weights *w, const char *name,
                      struct tensor *parts[2], struct err *err)
{
    char full[NAME_CAP], sizes[NOTE_CAP];
    int64_t codes[5], scales[3];
    code_shape(codes, m);
    scale_shape(scales, m);
    print_sizes(sizes, m);
    int rc = check_note(w, layout_key, layout_version, err);
    join(full, "ssmd.shape.", name, "");
    if (rc == 0)
        rc = check_note(w, full, sizes, err);
    join(full, "", name, suffixes[m->type]);
    if (rc == 0)
        rc = weights_take(w, &(struct tensor_spec){full, 5, codes, "U8"}, &parts[0], err);
    join(full, "", name, ".scale");
    if (rc == 0)
        rc = weights_take(w, &(struct tensor_spec){full, 3, scales, "F16"}, &parts[1],
                          err);
    return rc ? rc : check_values(m, parts[0], parts[1], err);
}

int quant_file_take(struct matrix *m, struct weights *w, struct arena *a,
                    const char *name, struct err *err)
{
    struct tensor *parts[2] = {NULL};
    m->type = has_as(w, name, DTYPE_Q8) ? DTYPE_Q8 : DTYPE_Q4;
    int rc = take_parts(m, w, name, parts, err);
    if (rc)
        return rc;
    parts[0]->n_values = (int64_t)m->n_out * m->n_in;
    parts[1]->n_values = 0;
    m->panels = settle(parts[0], a);
    m->scales = settle(parts[1], a);
    return m->panels && m->scales
               ? 0
               : err_set(err, ERR_MEMORY, "out of memory for tensor %.200s", name);
}

/* ---- writing ---------------------------------------------------------------- */

static size_t float_bytes(const struct quant_file_item *it)
{
    return (size_t)it->raw->n_values * dtype_bytes(it->type);
}

/* One entry of the header without its offsets, which put_place adds. */
static void put_entry(struct buf *b, const char *name, const char *dtype, int n_dims,
                      const int64_t *shape)
{
    buf_putc(b, ',');
    buf_json_string(b, name, strlen(name));
    buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", dtype);
    for (int i = 0; i < n_dims; i++)
        buf_printf(b, "%s%lld", i ? "," : "", (long long)shape[i]);
}

static void put_place(struct buf *b, size_t *at, size_t bytes)
{
    buf_printf(b, "],\"data_offsets\":[%zu,%zu]}", *at, *at + bytes);
    *at += bytes;
}

static void put_quantised(struct buf *b, size_t *at, const struct quant_file_item *it)
{
    char name[NAME_CAP];
    int64_t codes[5], scales[3];
    const struct matrix *m = it->m;
    code_shape(codes, m);
    scale_shape(scales, m);
    join(name, "", it->name, suffixes[m->type]);
    put_entry(b, name, "U8", 5, codes);
    put_place(b, at, matrix_panel_bytes(m));
    join(name, "", it->name, ".scale");
    put_entry(b, name, "F16", 3, scales);
    put_place(b, at, matrix_scale_bytes(m));
}

static void put_floats(struct buf *b, size_t *at, const struct quant_file_item *it)
{
    static const char *const names[] = {
        [DTYPE_F32] = "F32", [DTYPE_F16] = "F16", [DTYPE_BF16] = "BF16"};
    put_entry(b, it->name, names[it->type], it->raw->n_dims, it->raw->shape);
    put_place(b, at, float_bytes(it));
}

static void put_metadata(struct buf *b, const struct quant_file_item *items, size_t n)
{
    char text[NAME_CAP], sizes[NOTE_CAP];
    bool any = false;
    buf_puts(b, "{\"__metadata__\":{\"format\":\"pt\"");
    for (size_t i = 0; i < n; i++) {
        if (!items[i].m)
            continue;
        if (!any)
            buf_printf(b, ",\"%s\":\"%s\"", layout_key, layout_version);
        any = true;
        join(text, "ssmd.shape.", items[i].name, "");
        print_sizes(sizes, items[i].m);
        buf_putc(b, ',');
        buf_json_string(b, text, strlen(text));
        buf_printf(b, ":\"%s\"", sizes);
    }
    buf_putc(b, '}');
}

/* The order of the items: quantised ones, then floats, the widest first, so that all are
 * aligned. */
typedef bool part_fn(const struct quant_file_item *it);

static bool is_quantised(const struct quant_file_item *it)
{
    return it->m != NULL;
}

static bool is_single(const struct quant_file_item *it)
{
    return !it->m && it->type == DTYPE_F32;
}

static bool is_half(const struct quant_file_item *it)
{
    return !it->m && it->type != DTYPE_F32;
}

static part_fn *const parts[] = {is_quantised, is_single, is_half};
enum { N_PARTS = sizeof parts / sizeof *parts };

/* The 8-byte length and the header, padded with spaces to a multiple of 64. */
static void put_header(struct buf *b, const struct quant_file_item *items, size_t n)
{
    size_t at = 0;
    buf_put(b, "\0\0\0\0\0\0\0", 8);
    put_metadata(b, items, n);
    for (int p = 0; p < N_PARTS; p++)
        for (size_t i = 0; i < n; i++)
            if (parts[p](&items[i]))
                (items[i].m ? put_quantised : put_floats)(b, &at, &items[i]);
    buf_putc(b, '}');
    while (b->len % ALIGN && !b->failed)
        buf_putc(b, ' ');
    uint64_t len = b->len - 8;
    for (int i = 0; i < 8 && !b->failed; i++)
        b->data[i] = (char)(len >> 8 * i);
}

/* On false, errno has the reason. */
static bool write_all(int fd, const void *data, size_t len)
{
    for (const char *p = data; len;) {
        ssize_t n = write(fd, p, len < 1 << 30 ? len : 1 << 30);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool write_floats(int fd, const struct quant_file_item *it)
{
    enum { PIECE = 16384 };
    _Alignas(ALIGN) char piece[PIECE * 4];
    enum dtype own = it->raw->type;
    size_t n = (size_t)it->raw->n_values, from = dtype_bytes(own),
           to = dtype_bytes(it->type);
    if (it->type == own)
        return write_all(fd, it->raw->data, it->raw->bytes);
    for (size_t at = 0; at < n; at += PIECE) {
        size_t m = n - at < PIECE ? n - at : PIECE;
        quant_floats(it->type, piece, own, (const char *)it->raw->data + at * from, m);
        if (!write_all(fd, piece, m * to))
            return false;
    }
    return true;
}

static bool write_item(int fd, const struct quant_file_item *it)
{
    const struct matrix *m = it->m;
    if (!m)
        return write_floats(fd, it);
    return write_all(fd, m->panels, matrix_panel_bytes(m)) &&
           write_all(fd, m->scales, matrix_scale_bytes(m));
}

static bool write_file(int fd, const struct buf *header,
                       const struct quant_file_item *items, size_t n)
{
    bool good = write_all(fd, header->data, header->len);
    for (int p = 0; p < N_PARTS; p++)
        for (size_t i = 0; i < n && good; i++)
            if (parts[p](&items[i]))
                good = write_item(fd, &items[i]);
    return good && fsync(fd) == 0;
}

int quant_file_save(const char *path, const struct quant_file_item *items, size_t n,
                    size_t *bytes, struct err *err)
{
    struct buf header = {0};
    put_header(&header, items, n);
    if (header.failed) {
        buf_free(&header);
        return err_set(err, ERR_MEMORY, "out of memory for a header of %zu tensors", n);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool good = fd >= 0 && write_file(fd, &header, items, n);
    int why = errno;
    if (good)
        *bytes = (size_t)lseek(fd, 0, SEEK_CUR);
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        why = errno;
    }
    if (fd >= 0 && !good)
        unlink(path);
    buf_free(&header);
    return good ? 0 : err_set(err, ERR_IO, "%.400s: %s", path, strerror(why));
}
