/*
 * shapes10_make.c - shapes10 as a folder of JPEG files.
 *
 * Files are written below a temporary directory that is renamed at the end: a directory of that
 * name is complete.  Images are independent, so the files do not depend on the thread count.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/shapes10.h"

#define UNIT 64 /* images per unit of parallel work: about 10 ms */

typedef struct {
    const trit_args *options;
    const char *dir;
    int64_t count[TRIT_SPLITS];
    atomic_bool failed;
    atomic_flag taken; /* the first failure keeps its sentence */
    trit_status status;
    char sentence[1024];
} job;

static trit_status write_file(const char *path, const uint8_t *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    if (!f) return trit_fail(TRIT_ERR_IO, "%s: cannot create: %s", path, strerror(errno));
    size_t put = fwrite(bytes, 1, n, f);
    if (fclose(f) != 0 || put != n)
        return trit_fail(TRIT_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    return TRIT_OK;
}

/* Images first .. last-1 of the row "train, then test". */
static trit_status make_some(const job *j, int64_t first, int64_t last) {
    int size = (int)j->options->v[TRIT_SHAPES_SIZE][0], label;
    int quality = (int)j->options->v[TRIT_SHAPES_QUALITY][0];
    size_t canvas_bytes = (size_t)size * (size_t)size * 3 * sizeof(float), n = 0;
    trit_image im = {0};
    uint8_t *bytes = NULL;
    char path[4096];
    float *canvas = trit_alloc(canvas_bytes);
    if (!canvas) return TRIT_ERR_MEM;
    memset(canvas, 0, canvas_bytes);
    trit_status status = trit_image_reserve(&im, size, size, 3);
    for (int64_t i = first; i < last && status == TRIT_OK; i++) {
        int split = i < j->count[TRIT_TRAIN] ? TRIT_TRAIN : TRIT_TEST;
        int64_t index = split == TRIT_TRAIN ? i : i - j->count[TRIT_TRAIN];
        trit_shapes10_draw(j->options, split, index, canvas, &im, &label);
        status = trit_jpeg_encode(&im, quality, &bytes, &n);
        snprintf(path, sizeof path, "%s/%s/%s/%06lld.jpg", j->dir, trit_split_names[split],
                 trit_shapes10_classes[label], (long long)index);
        if (status == TRIT_OK) status = write_file(path, bytes, n);
    }
    free(bytes);
    trit_image_free(&im);
    trit_free(canvas, canvas_bytes);
    return status;
}

static void unit(void *context, int64_t u, int worker) {
    (void)worker;
    job *j = context;
    int64_t total = j->count[TRIT_TRAIN] + j->count[TRIT_TEST], last = (u + 1) * UNIT;
    if (atomic_load(&j->failed)) return;
    trit_status status = make_some(j, u * UNIT, last < total ? last : total);
    if (status == TRIT_OK || atomic_flag_test_and_set(&j->taken)) return;
    j->status = status;
    snprintf(j->sentence, sizeof j->sentence, "%s", trit_last_error());
    atomic_store(&j->failed, true);
}

static trit_status make_dir(const char *path) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return TRIT_OK;
    return trit_fail(TRIT_ERR_IO, "%s: cannot create directory: %s", path, strerror(errno));
}

/* The directories above `path`, as far as they are missing. */
static trit_status make_parents(const char *path) {
    char part[4096];
    for (const char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
        TRIT_TRY(make_dir(part));
    }
    return TRIT_OK;
}

static trit_status make_tree(const char *dir) {
    char path[4096];
    TRIT_TRY(make_parents(dir));
    TRIT_TRY(make_dir(dir));
    for (int split = 0; split < TRIT_SPLITS; split++) {
        snprintf(path, sizeof path, "%s/%s", dir, trit_split_names[split]);
        TRIT_TRY(make_dir(path));
        for (int c = 0; c < 10; c++) {
            snprintf(path, sizeof path, "%s/%s/%s", dir, trit_split_names[split],
                     trit_shapes10_classes[c]);
            TRIT_TRY(make_dir(path));
        }
    }
    return TRIT_OK;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

/* The finished tree takes its name; one that somebody else finished meanwhile is as good. */
static trit_status move_in_place(const char *temporary, const char *dir) {
    if (rename(temporary, dir) == 0) return TRIT_OK;
    if (errno == ENOTEMPTY || errno == EEXIST) return TRIT_ERR_STATE;
    return trit_fail(TRIT_ERR_IO, "%s: cannot rename to %s: %s", temporary, dir, strerror(errno));
}

trit_status trit_shapes10_make(const trit_args *options, const char *dir, bool reuse) {
    char temporary[4000];
    job j = {.options = options, .dir = temporary, .taken = ATOMIC_FLAG_INIT};
    struct stat st;
    if (stat(dir, &st) == 0)
        return reuse
                   ? TRIT_OK
                   : trit_fail(TRIT_ERR_IO, "shapes10: '%s' exists already; remove it first", dir);
    size_t length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/') length--;
    if (snprintf(temporary, sizeof temporary, "%.*s.tmp.%d", (int)length, dir, (int)getpid()) >=
        (int)sizeof temporary)
        return trit_fail(TRIT_ERR_ARG, "shapes10: the directory's path is too long");
    j.count[TRIT_TRAIN] = (int64_t)options->v[TRIT_SHAPES_TRAIN][0];
    j.count[TRIT_TEST] = (int64_t)options->v[TRIT_SHAPES_TEST][0];
    trit_status status = make_tree(temporary);
    if (status == TRIT_OK) {
        trit_parallel((j.count[TRIT_TRAIN] + j.count[TRIT_TEST] + UNIT - 1) / UNIT, unit, &j);
        if (atomic_load(&j.failed)) status = trit_fail(j.status, "%s", j.sentence);
    }
    if (status == TRIT_OK) status = move_in_place(temporary, dir);
    if (status == TRIT_OK) return TRIT_OK;
    nftw(temporary, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (status == TRIT_ERR_STATE)
        return reuse ? TRIT_OK : trit_fail(TRIT_ERR_IO, "shapes10: '%s' exists already", dir);
    return status;
}
