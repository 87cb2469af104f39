/*
 * src_h5.c - the spec "h5:FILE": images packed by `trit data pack`, or by anyone else who writes
 * train/images u8[N,H,W,C], train/labels and the same below test/ (pack.c has the layout).
 *
 * Images in one piece are mapped; others (chunked, compressed) are read into memory on opening,
 * because HDF5 is not for several threads.
 */
#include <stdlib.h>
#include <string.h>

#include "data/source.h"
#include "trit/io.h"

typedef struct {
    trit_map map;
    const uint8_t *px[TRIT_SPLITS]; /* [N,H,W,C]: into the map, or owned */
    uint8_t *owned[TRIT_SPLITS];
    int64_t *label[TRIT_SPLITS]; /* [N] */
} h5_state;

static trit_status check_shape(trit_source *s, const char *file, const char *path,
                               const trit_h5_info *info) {
    const int64_t *d = info->shape.dim;
    if (info->kind != TRIT_H5_NUMBER || info->shape.ndim != 4 || (d[3] != 1 && d[3] != 3) ||
        d[1] < 1 || d[2] < 1 || d[1] > 65535 || d[2] > 65535)
        return trit_fail(TRIT_ERR_IO, "%s: %s must be images u8[N,H,W,C] with C = 1 or 3", file,
                         path);
    if (s->height && (s->height != d[1] || s->width != d[2] || s->channels != d[3]))
        return trit_fail(TRIT_ERR_IO, "%s: test images are %lldx%lldx%lld, train images %dx%dx%d",
                         file, (long long)d[1], (long long)d[2], (long long)d[3], s->height,
                         s->width, s->channels);
    s->height = (int)d[1];
    s->width = (int)d[2];
    s->channels = (int)d[3];
    return TRIT_OK;
}

static trit_status load_images(trit_source *s, trit_h5 *f, int split, const char *path) {
    h5_state *st = s->state;
    const char *file = trit_h5_path(f);
    int64_t offset;
    size_t bytes =
        (size_t)s->count[split] * (size_t)s->height * (size_t)s->width * (size_t)s->channels;
    TRIT_TRY(trit_h5_locate(f, path, &offset));
    if (offset >= 0) {
        if (!st->map.bytes) TRIT_TRY(trit_map_open(file, &st->map));
        if ((size_t)offset + bytes > st->map.n)
            return trit_fail(TRIT_ERR_IO, "%s: %zu bytes found, %s needs %zu: the file is cut off",
                             file, st->map.n, path, (size_t)offset + bytes);
        st->px[split] = st->map.bytes + offset;
        return TRIT_OK;
    }
    st->owned[split] = malloc(bytes);
    if (!st->owned[split])
        return trit_fail(TRIT_ERR_MEM, "%s: no room for %zu bytes of images", file, bytes);
    st->px[split] = st->owned[split];
    return trit_h5_read(f, path, NULL, TRIT_H5_U8, st->owned[split]);
}

static trit_status load_split(trit_source *s, trit_h5 *f, int split) {
    h5_state *st = s->state;
    const char *file = trit_h5_path(f);
    char images[32], labels[32];
    trit_h5_info info;
    snprintf(images, sizeof images, "%s/images", trit_split_names[split]);
    snprintf(labels, sizeof labels, "%s/labels", trit_split_names[split]);
    TRIT_TRY(trit_h5_describe(f, images, NULL, &info));
    if (info.kind == TRIT_H5_NONE) return TRIT_OK;
    TRIT_TRY(check_shape(s, file, images, &info));
    int64_t n = info.shape.dim[0];
    TRIT_TRY(trit_h5_describe(f, labels, NULL, &info));
    if (info.kind != TRIT_H5_NUMBER || info.count != n)
        return trit_fail(TRIT_ERR_IO, "%s: %s has %lld numbers, %s %lld images", file, labels,
                         (long long)info.count, images, (long long)n);
    s->count[split] = n;
    if (n == 0) return TRIT_OK;
    st->label[split] = malloc((size_t)n * sizeof *st->label[split]);
    if (!st->label[split]) return trit_fail(TRIT_ERR_MEM, "%s: no room for labels", file);
    TRIT_TRY(trit_h5_read(f, labels, NULL, TRIT_H5_I64, st->label[split]));
    return load_images(s, f, split, images);
}

/* Names from the file, else "0", "1", ... up to the largest label; labels must fit. */
static trit_status load_classes(trit_source *s, trit_h5 *f) {
    const h5_state *st = s->state;
    trit_h5_info info;
    trit_h5_names names = {0};
    int64_t top = 0;
    for (int split = 0; split < TRIT_SPLITS; split++)
        for (int64_t i = 0; i < s->count[split]; i++) {
            if (st->label[split][i] < 0 || st->label[split][i] > 999999)
                return trit_fail(TRIT_ERR_IO, "%s: label %lld of %s image %lld", trit_h5_path(f),
                                 (long long)st->label[split][i], trit_split_names[split],
                                 (long long)i);
            if (st->label[split][i] > top) top = st->label[split][i];
        }
    TRIT_TRY(trit_h5_describe(f, "class_names", NULL, &info));
    if (info.kind == TRIT_H5_TEXT) {
        TRIT_TRY(trit_h5_read_text(f, "class_names", NULL, &names));
        trit_status status =
            names.n > top ? trit_source_set_classes(s, (const char *const *)names.s, (int)names.n)
                          : trit_fail(TRIT_ERR_IO, "%s: label %lld, but only %lld class names",
                                      trit_h5_path(f), (long long)top, (long long)names.n);
        trit_h5_names_free(&names);
        return status;
    }
    s->class_names = calloc((size_t)top + 2, sizeof *s->class_names);
    if (!s->class_names) return trit_fail(TRIT_ERR_MEM, "h5: no room for class names");
    for (int64_t i = 0; i <= top; i++) {
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)i);
        if (!(s->class_names[i] = strdup(text)))
            return trit_fail(TRIT_ERR_MEM, "h5: no room for class names");
        s->classes = (int)i + 1;
    }
    return TRIT_OK;
}

static trit_status load_norm(trit_source *s, trit_h5 *f) {
    trit_h5_info mean, std;
    trit_h5_names norm = {0};
    TRIT_TRY(trit_h5_describe(f, "", "mean", &mean));
    TRIT_TRY(trit_h5_describe(f, "", "std", &std));
    if (mean.count != s->channels || std.count != s->channels) {
        for (int c = 0; c < 3; c++) s->std[c] = 1;
        snprintf(s->norm, sizeof s->norm, "none: the file has no mean and std");
        return TRIT_OK;
    }
    TRIT_TRY(trit_h5_read(f, "", "mean", TRIT_H5_F64, s->mean));
    TRIT_TRY(trit_h5_read(f, "", "std", TRIT_H5_F64, s->std));
    bool named = trit_h5_read_text(f, "", "norm", &norm) == TRIT_OK && norm.n == 1;
    snprintf(s->norm, sizeof s->norm, "%s", named ? norm.s[0] : "attributes of the file");
    trit_h5_names_free(&norm);
    return TRIT_OK;
}

static trit_status h5_open(trit_source *s, const char *path) {
    trit_h5 *f;
    s->state = calloc(1, sizeof(h5_state));
    if (!s->state) return trit_fail(TRIT_ERR_MEM, "h5: no room for the state");
    TRIT_TRY(trit_h5_open(path, 'r', &f));
    trit_status status = TRIT_OK;
    for (int split = 0; split < TRIT_SPLITS && status == TRIT_OK; split++)
        status = load_split(s, f, split);
    if (status == TRIT_OK && s->height == 0)
        status = trit_fail(TRIT_ERR_IO, "%s: neither train/images nor test/images in it", path);
    if (status == TRIT_OK) status = load_classes(s, f);
    if (status == TRIT_OK) status = load_norm(s, f);
    if (status == TRIT_OK)
        trit_h5_close(f);
    else { /* the sentence of the failure stays */
        char sentence[1024];
        snprintf(sentence, sizeof sentence, "%s", trit_last_error());
        trit_h5_close(f);
        trit_fail(status, "%s", sentence);
    }
    return status;
}

static trit_status h5_read(const trit_source *s, int split, int64_t index, trit_reader *r,
                           trit_image *out) {
    const h5_state *st = s->state;
    size_t bytes = (size_t)s->height * (size_t)s->width * (size_t)s->channels;
    r->facts = (trit_image_facts){.h = s->height, .w = s->width};
    TRIT_TRY(trit_image_reserve(out, s->height, s->width, s->channels));
    memcpy(out->px, st->px[split] + (size_t)index * bytes, bytes);
    return TRIT_OK;
}

static int h5_label(const trit_source *s, int split, int64_t index) {
    const h5_state *st = s->state;
    return (int)st->label[split][index];
}

static void h5_name(const trit_source *s, int split, int64_t index, char *text, size_t size) {
    snprintf(text, size, "%s %s/images[%lld]", s->spec, trit_split_names[split], (long long)index);
}

static void h5_close(trit_source *s) {
    h5_state *st = s->state;
    for (int split = 0; st && split < TRIT_SPLITS; split++) {
        free(st->owned[split]);
        free(st->label[split]);
    }
    if (st) trit_map_close(&st->map);
    free(st);
}

const trit_source_kind trit_source_kind_h5 = {
    .name = "h5",
    .usage = "h5:FILE",
    .doc = "8-bit images packed into one HDF5 file by `trit data pack`",
    .open = h5_open,
    .read = h5_read,
    .label = h5_label,
    .name_of = h5_name,
    .close = h5_close,
    .resident = true,
};
