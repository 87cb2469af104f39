/*
 * src_cifar10.c - CIFAR-10's binary version: data_batch_1..5.bin and test_batch.bin.
 *
 * A record is one label byte and 3072 bytes of planes R, G, B of 32 x 32 (Krizhevsky 2009, the
 * set's web page).  Files are mapped; any whole number of records is accepted.
 */
#include "data/source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIDE   32
#define PLANE  (SIDE * SIDE)
#define RECORD (1 + 3 * PLANE)
#define FILES  6 /* five of training, one of test */

typedef struct {
    trit_map map[FILES];
    int64_t first[FILES + 1]; /* first record of each training file */
} cifar_state;

static const char *const classes[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                        "dog",      "frog",       "horse", "ship", "truck"};

static trit_status check_labels(const char *path, const trit_map *m) {
    for (size_t i = 0; i < m->n; i += RECORD)
        if (m->bytes[i] > 9)
            return trit_fail(TRIT_ERR_IO,
                             "%s: record %zu has label %d, the labels of CIFAR-10 are 0..9", path,
                             i / RECORD, m->bytes[i]);
    return TRIT_OK;
}

static trit_status cifar10_open(trit_source *s, const char *path) {
    char dir[TRIT_SPEC_BYTES + 32], file[TRIT_SPEC_BYTES + 64];
    cifar_state *st = s->state = calloc(1, sizeof *st);
    if (!st) return trit_fail(TRIT_ERR_MEM, "cifar10: no room for the state");
    if (!trit_is_dir(path)) return trit_fail(TRIT_ERR_IO, "cifar10: no directory '%s'", path);
    snprintf(dir, sizeof dir, "%s/cifar-10-batches-bin", path); /* as the archive unpacks */
    if (!trit_is_dir(dir)) snprintf(dir, sizeof dir, "%s", path);
    for (int k = 0; k < FILES; k++) {
        if (k < FILES - 1)
            snprintf(file, sizeof file, "%s/data_batch_%d.bin", dir, k + 1);
        else
            snprintf(file, sizeof file, "%s/test_batch.bin", dir);
        TRIT_TRY(trit_map_open(file, &st->map[k]));
        if (st->map[k].n == 0 || st->map[k].n % RECORD)
            return trit_fail(TRIT_ERR_IO,
                             "%s: %zu bytes found, expected a multiple of %d (30730000 in the "
                             "original)",
                             file, st->map[k].n, RECORD);
        TRIT_TRY(check_labels(file, &st->map[k]));
        int64_t records = (int64_t)(st->map[k].n / RECORD);
        if (k < FILES - 1)
            s->count[TRIT_TRAIN] = st->first[k + 1] = st->first[k] + records;
        else
            s->count[TRIT_TEST] = records;
    }
    s->height = s->width = SIDE;
    trit_source_norm_cifar10(s);
    return trit_source_set_classes(s, classes, 10);
}

/* The record, and its file in *k. */
static const uint8_t *record(const trit_source *s, int split, int64_t index, int *k, int64_t *at) {
    const cifar_state *st = s->state;
    *k = FILES - 1;
    *at = index;
    if (split == TRIT_TRAIN) {
        for (*k = 0; index >= st->first[*k + 1];) ++*k;
        *at = index - st->first[*k];
    }
    return st->map[*k].bytes + *at * RECORD;
}

static trit_status cifar10_read(const trit_source *s, int split, int64_t index, trit_reader *r,
                                trit_image *out) {
    int k;
    int64_t at;
    const uint8_t *planes = record(s, split, index, &k, &at) + 1;
    r->facts = (trit_image_facts){.h = SIDE, .w = SIDE};
    TRIT_TRY(trit_image_reserve(out, SIDE, SIDE, 3));
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++) out->px[3 * i + c] = planes[c * PLANE + i];
    return TRIT_OK;
}

static int cifar10_label(const trit_source *s, int split, int64_t index) {
    int k;
    int64_t at;
    return record(s, split, index, &k, &at)[0];
}

static void cifar10_name(const trit_source *s, int split, int64_t index, char *text, size_t size) {
    int k;
    int64_t at;
    record(s, split, index, &k, &at);
    if (k < FILES - 1)
        snprintf(text, size, "%s data_batch_%d.bin record %lld", s->spec, k + 1, (long long)at);
    else
        snprintf(text, size, "%s test_batch.bin record %lld", s->spec, (long long)at);
}

static void cifar10_close(trit_source *s) {
    cifar_state *st = s->state;
    for (int k = 0; st && k < FILES; k++) trit_map_close(&st->map[k]);
    free(st);
}

const trit_source_kind trit_source_kind_cifar10 = {
    .name = "cifar10",
    .usage = "cifar10:DIR",
    .doc = "CIFAR-10's binary version: data_batch_1..5.bin, test_batch.bin",
    .open = cifar10_open,
    .read = cifar10_read,
    .label = cifar10_label,
    .name_of = cifar10_name,
    .close = cifar10_close,
    .resident = true,
};
