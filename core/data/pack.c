/*
 * pack.c - any source as one HDF5 file of 8-bit images.
 *
 *   /train/images u8[N,H,W,C]   /train/labels i64[N] from 0      the same below /test
 *   /class_names  text[classes]
 *   attributes of the root: format, source, norm, mean[C], std[C] (1 = white)
 *
 * Images lie in one piece of the file, so h5: maps them.  The file is written under a temporary
 * name and renamed when complete.  Decoding runs on all threads, BLOCK images at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/augment.h"
#include "trit/io.h"

#define BLOCK  256 /* images decoded before they are written */
#define FORMAT "trit images 1"

typedef struct {
    const trit_source *source;
    int h, w, split, workers;
    bool fit; /* resize and cut to h x w; otherwise another size is an error */
    uint8_t *left_out[TRIT_SPLITS]; /* [count] 1: damaged */
    int64_t kept[TRIT_SPLITS];
    /* one block */
    int64_t index[BLOCK];
    trit_status status[BLOCK];
    char sentence[BLOCK][512];
    uint8_t *px;          /* [BLOCK,h,w,c] */
    trit_reader *readers; /* [workers] */
    trit_image *images;
    trit_view *views;
} job;

static size_t image_bytes(const job *j) {
    return (size_t)j->h * (size_t)j->w * (size_t)j->source->channels;
}

static trit_status unpack(const job *j, int64_t index, int worker, uint8_t *out) {
    trit_image *im = &j->images[worker];
    trit_view *v = &j->views[worker];
    TRIT_TRY(j->source->kind->read(j->source, j->split, index, &j->readers[worker], im));
    if (!j->fit && (im->h != j->h || im->w != j->w)) {
        char name[600];
        j->source->kind->name_of(j->source, j->split, index, name, sizeof name);
        return trit_fail(TRIT_ERR_SHAPE,
                         "pack: %s is %d x %d pixels, the first image %d x %d: give a size", name,
                         im->h, im->w, j->h, j->w);
    }
    v->target_h = j->h;
    v->target_w = j->w;
    trit_view_start(v, im, im->h, im->w);
    TRIT_TRY(trit_view_apply(v, NULL, 0, 0, 0));
    size_t row = (size_t)j->w * (size_t)im->c;
    for (int y = 0; y < j->h; y++)
        memcpy(out + (size_t)y * row,
               v->image->px +
                   ((size_t)(v->y + y) * (size_t)v->image->w + (size_t)v->x) * (size_t)im->c,
               row);
    return TRIT_OK;
}

static void unit(void *context, int64_t u, int worker) {
    job *j = context;
    j->status[u] = unpack(j, j->index[u], worker, j->px + (size_t)u * image_bytes(j));
    if (j->status[u] != TRIT_OK)
        snprintf(j->sentence[u], sizeof j->sentence[u], "%s", trit_last_error());
}

/* One split into the open file at `offset`; *again: more images turned out to be damaged. */
static trit_status write_split(job *j, int fd, int64_t offset, bool *again) {
    int64_t count = j->source->count[j->split];
    for (int64_t next = 0; next < count;) {
        int n = 0;
        for (; n < BLOCK && next < count; next++)
            if (!j->left_out[j->split][next]) j->index[n++] = next;
        trit_parallel(n, unit, j);
        for (int i = 0; i < n; i++) {
            if (j->status[i] == TRIT_ERR_IO) {
                j->left_out[j->split][j->index[i]] = 1;
                j->kept[j->split]--;
                *again = true;
            } else if (j->status[i] != TRIT_OK) {
                return trit_fail(j->status[i], "%s", j->sentence[i]);
            }
        }
        size_t bytes = (size_t)n * image_bytes(j), done = 0;
        while (!*again && done < bytes) {
            ssize_t put = pwrite(fd, j->px + done, bytes - done, offset + (int64_t)done);
            if (put <= 0)
                return trit_fail(TRIT_ERR_IO, "pack: cannot write images: %s", strerror(errno));
            done += (size_t)put;
        }
        offset += (int64_t)bytes;
    }
    return TRIT_OK;
}

static trit_status write_labels(job *j, trit_h5 *f, int split) {
    int64_t n = 0, *labels = malloc(sizeof *labels * (size_t)(j->kept[split] + 1));
    if (!labels) return trit_fail(TRIT_ERR_MEM, "pack: no room for the labels");
    for (int64_t i = 0; i < j->source->count[split]; i++)
        if (!j->left_out[split][i]) labels[n++] = j->source->kind->label(j->source, split, i);
    char path[32];
    snprintf(path, sizeof path, "%s/labels", trit_split_names[split]);
    trit_status status = trit_h5_write(f, path, NULL, TRIT_H5_I64, 1, &n, labels);
    free(labels);
    return status;
}

/* Everything but the pixels; their places go to `offset`. */
static trit_status write_frame(job *j, trit_h5 *f, int64_t offset[TRIT_SPLITS]) {
    const trit_source *s = j->source;
    const char *format[1] = {FORMAT}, *spec[1] = {s->spec}, *norm[1] = {s->norm};
    int64_t c = s->channels;
    TRIT_TRY(trit_h5_write_text(f, "class_names", NULL, s->classes,
                                (const char *const *)s->class_names));
    TRIT_TRY(trit_h5_write_text(f, "", "format", 0, format));
    TRIT_TRY(trit_h5_write_text(f, "", "source", 0, spec));
    TRIT_TRY(trit_h5_write_text(f, "", "norm", 0, norm));
    TRIT_TRY(trit_h5_write(f, "", "mean", TRIT_H5_F64, 1, &c, s->mean));
    TRIT_TRY(trit_h5_write(f, "", "std", TRIT_H5_F64, 1, &c, s->std));
    for (int split = 0; split < TRIT_SPLITS; split++) {
        int64_t dim[4] = {j->kept[split], j->h, j->w, s->channels};
        char path[32];
        if (j->kept[split] == 0) continue;
        snprintf(path, sizeof path, "%s/images", trit_split_names[split]);
        TRIT_TRY(trit_h5_reserve(f, path, 4, dim));
        TRIT_TRY(write_labels(j, f, split));
        TRIT_TRY(trit_h5_locate(f, path, &offset[split]));
    }
    return TRIT_OK;
}

static trit_status attempt(job *j, const char *file, bool *again) {
    int64_t offset[TRIT_SPLITS] = {0};
    trit_h5 *f;
    *again = false;
    TRIT_TRY(trit_h5_open(file, 'w', &f));
    trit_status status = write_frame(j, f, offset), closed = trit_h5_close(f);
    if (status == TRIT_OK) status = closed;
    if (status != TRIT_OK) return status;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0) return trit_fail(TRIT_ERR_IO, "pack: cannot open %s: %s", file, strerror(errno));
    for (int split = 0; split < TRIT_SPLITS && status == TRIT_OK; split++) {
        j->split = split;
        if (j->kept[split]) status = write_split(j, fd, offset[split], again);
    }
    if (status == TRIT_OK && !*again && fsync(fd) != 0)
        status = trit_fail(TRIT_ERR_IO, "pack: cannot write %s: %s", file, strerror(errno));
    close(fd);
    return status;
}

/* The size of the packed images: given, the source's, or that of the first readable image. */
static trit_status find_size(job *j, int size) {
    const trit_source *s = j->source;
    j->fit = size > 0;
    j->h = size ? size : s->height;
    j->w = size ? size : s->width;
    trit_status status = TRIT_OK;
    for (int64_t i = 0; j->h == 0; i++) {
        int64_t train = s->count[TRIT_TRAIN];
        if (i == train + s->count[TRIT_TEST])
            return trit_fail(TRIT_ERR_IO, "pack: %s has no readable image", s->spec);
        int split = i < train ? TRIT_TRAIN : TRIT_TEST;
        status = s->kind->read(s, split, split == TRIT_TRAIN ? i : i - train, &j->readers[0],
                               &j->images[0]);
        if (status == TRIT_ERR_MEM) return status;
        if (status != TRIT_OK) continue;
        j->h = j->images[0].h;
        j->w = j->images[0].w;
    }
    return TRIT_OK;
}

static void finish(job *j) {
    for (int i = 0; i < j->workers; i++) {
        if (j->readers) trit_reader_close(&j->readers[i]);
        if (j->images) trit_image_free(&j->images[i]);
        if (j->views) trit_view_close(&j->views[i]);
    }
    free(j->readers);
    free(j->images);
    free(j->views);
    free(j->px);
    for (int split = 0; split < TRIT_SPLITS; split++) free(j->left_out[split]);
    free(j);
}

static trit_status prepare(job *j, int size) {
    size_t workers = (size_t)j->workers;
    j->readers = calloc(workers, sizeof *j->readers);
    j->images = calloc(workers, sizeof *j->images);
    j->views = calloc(workers, sizeof *j->views);
    bool room = j->readers && j->images && j->views;
    for (int split = 0; split < TRIT_SPLITS; split++) {
        j->kept[split] = j->source->count[split];
        j->left_out[split] = calloc((size_t)j->kept[split] + 1, 1);
        room = room && j->left_out[split];
    }
    if (!room) return trit_fail(TRIT_ERR_MEM, "pack: no room to work in");
    TRIT_TRY(find_size(j, size));
    j->px = malloc(BLOCK * image_bytes(j));
    return j->px ? TRIT_OK : trit_fail(TRIT_ERR_MEM, "pack: no room for a block of images");
}

trit_status trit_source_pack(const trit_source *s, int size, const char *file, int64_t *left_out) {
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.tmp.%d", file, (int)getpid()) >=
        (int)sizeof temporary)
        return trit_fail(TRIT_ERR_ARG, "pack: the file's path is too long");
    job *j = calloc(1, sizeof *j);
    if (!j) return trit_fail(TRIT_ERR_MEM, "pack: no room to work in");
    j->source = s;
    j->workers = trit_threads();
    trit_status status = prepare(j, size);
    bool again = status == TRIT_OK;
    while (status == TRIT_OK && again) status = attempt(j, temporary, &again);
    if (status == TRIT_OK && rename(temporary, file) != 0)
        status = trit_fail(TRIT_ERR_IO, "pack: cannot rename %s to %s: %s", temporary, file,
                           strerror(errno));
    if (status != TRIT_OK) unlink(temporary);
    *left_out = 0;
    for (int split = 0; split < TRIT_SPLITS; split++) *left_out += s->count[split] - j->kept[split];
    finish(j);
    return status;
}
