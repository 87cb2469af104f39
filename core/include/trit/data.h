/*
 * data.h - image sets: sources of 8-bit images, augmentation, batches made ahead of time.
 *
 * A spec "kind:path" opens a source: two splits of labelled images.  A data set is a source with
 * options (size, augmentation, normalization, order); its batches are a function of (options,
 * seed, epoch) only: the number of worker threads, the cache (but for the option `draft`) and the
 * place where iteration starts change nothing.
 *
 * In files and here classes count from 0; the label tensors count from 1, as Lua does.
 */
#ifndef TRIT_DATA_H
#define TRIT_DATA_H

#include <stdio.h>

#include "trit/tensor.h"

/* ------------------------------------------------------------------- images */

typedef struct {
    uint8_t *px; /* [h,w,c]; grown by trit_image_reserve */
    int h, w, c; /* pixels; c = 1 or 3 */
    size_t capacity;
} trit_image;

trit_status trit_image_reserve(trit_image *im, int h, int w, int c);
void trit_image_free(trit_image *im);

/* Facts of one stored image that decoding learned. */
typedef struct {
    int h, w;             /* pixels as stored, before any scaled decoding */
    bool png, gray, cmyk; /* content is PNG; one channel; four ink channels */
    bool misnamed;        /* the name's extension says another format */
    char warning[128];    /* what the decoder complained about and we accepted, or "" */
} trit_image_facts;

/* What one thread needs to read images; zero-initialise, close with trit_reader_close. */
typedef struct {
    /* May ask a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size: given the stored size, returns
     * the denominator.  NULL: full size. */
    int (*scale)(void *context, int h, int w);
    void *context;
    trit_image_facts facts; /* of the last image read */
    void *jpeg;             /* decoder handle */
    uint8_t *file;          /* bytes of the last file */
    size_t file_bytes, file_capacity;
} trit_reader;

void trit_reader_close(trit_reader *r);

/* JPEG or PNG (told by content, not by name) -> RGB.  Grey becomes three equal channels; CMYK and
 * YCCK are converted, the Adobe marker deciding whether the inks are stored inverted.  Exif
 * orientation is not applied.  Errors: neither format, damaged, over 2^28 pixels. */
trit_status trit_image_decode(trit_reader *r, const uint8_t *bytes, size_t n, const char *name,
                              trit_image *out);
trit_status trit_image_load(trit_reader *r, const char *path, trit_image *out);
/* RGB -> JPEG bytes, quality 1..100, 4:4:4; *bytes is grown by malloc, the caller frees it. */
trit_status trit_jpeg_encode(const trit_image *im, int quality, uint8_t **bytes, size_t *n);
/* Triangle filter, widened when shrinking (antialiased); `box` = y0, x0, height, width in pixels of
 * `in`, fractions allowed, inside the image. */
trit_status trit_image_resize(const trit_image *in, const double box[4], int h, int w,
                              trit_image *out);

/* ------------------------------------------------------------------ sources */

enum { TRIT_TRAIN = 0, TRIT_TEST, TRIT_SPLITS };
extern const char *const trit_split_names[TRIT_SPLITS]; /* "train", "test" */

typedef struct trit_source trit_source;

/* One way to store a set: core/data/src_<name>.c ends in `const trit_source_kind
 * trit_source_kind_<name>`; specs start with its name. */
typedef struct {
    const char *name, *usage, *doc;
    /* Fill in the fields of trit_source; on failure `close` is called too. */
    trit_status (*open)(trit_source *s, const char *path);
    /* The image in full (or at the reader's scale); called by several threads at once. */
    trit_status (*read)(const trit_source *s, int split, int64_t index, trit_reader *r,
                        trit_image *out);
    int (*label)(const trit_source *s, int split, int64_t index); /* from 0 */
    /* A name a person finds the image by. */
    void (*name_of)(const trit_source *s, int split, int64_t index, char *text, size_t size);
    void (*close)(trit_source *s);
    bool resident; /* images are in memory or mapped: decoding costs nothing */
} trit_source_kind;

extern const trit_source_kind *const trit_source_kinds[]; /* generated; NULL ends */
extern const int trit_source_kinds_count;
const trit_source_kind *trit_source_kind_find(const char *name);

#define TRIT_SPEC_BYTES 1024

struct trit_source {
    const trit_source_kind *kind;
    char spec[TRIT_SPEC_BYTES];
    int channels;
    int height, width; /* of every image; 0, 0 when they differ or were not looked at */
    int64_t count[TRIT_SPLITS];
    int classes;
    char **class_names;     /* [classes], owned */
    double mean[3], std[3]; /* for normalization, 1 = white */
    char norm[80];          /* where mean and std come from */
    char note[256];         /* what was decided on opening, or "" */
    void *state;
};

/* Errors: unknown kind, missing or damaged files; one sentence names file and rule. */
trit_status trit_source_open(const char *spec, trit_source **out);
void trit_source_close(trit_source *s); /* NULL is fine */
/* 64-bit XXH3 of the set: labels and image bytes (folder: names, labels and file sizes, unless
 * `content` asks for the bytes of every file). */
trit_status trit_source_checksum(const trit_source *s, bool content, uint64_t *sum);

/* Look at every image of the set; what is found goes to `row`, in order, one call per image that is
 * damaged, misnamed, grey, CMYK or decoded with a warning; `problem` NULL: not damaged. */
typedef struct {
    int64_t images, bad, gray, cmyk, misnamed, warned;
    int min_h, max_h, min_w, max_w;
} trit_check_totals;
typedef void (*trit_check_row)(void *context, int split, const char *name,
                               const trit_image_facts *facts, const char *problem);
trit_status trit_source_check(const trit_source *s, trit_check_row row, void *context,
                              trit_check_totals *totals);

/* shapes10, the generated set: options and generator. */
extern const trit_param trit_shapes10_params[];
extern const char *const trit_shapes10_classes[10];
/* Write DIR/train/CLASS/NNNNNN.jpg and DIR/test/...; DIR appears complete or not at all.  A DIR
 * that exists is an error, or left as it is with `reuse`. */
trit_status trit_shapes10_make(const trit_args *options, const char *dir, bool reuse);

/* Write the set as one HDF5 file of 8-bit images that `h5:FILE` opens; images of other sizes are
 * resized and centre-cropped to `size` (0: all must have one size).  Damaged images are left out
 * and counted. */
trit_status trit_source_pack(const trit_source *s, int size, const char *file, int64_t *left_out);

/* ------------------------------------------------------------- augmentation */

#define TRIT_MAX_TRANSFORMS 8

typedef struct trit_view trit_view; /* an image being cut: core/data/augment.h */

typedef struct {
    const char *name, *doc;
    const trit_param *params;
    /* Draws come from `key`; `lane` is the first of its own draws. */
    trit_status (*apply)(const trit_args *args, const uint64_t key[2], uint32_t lane,
                         trit_view *view);
} trit_transform;

extern const trit_transform trit_transforms[]; /* {0} ends */
const trit_transform *trit_transform_find(const char *name);

typedef struct {
    const trit_transform *transform;
    trit_args args;
} trit_step;

/* ---------------------------------------------------------------- data sets */

typedef struct trit_data trit_data;

typedef enum { TRIT_DATA_REPLACE = 0, TRIT_DATA_SKIP, TRIT_DATA_FAIL } trit_data_policy;

/* The options of a data set, in this order. */
enum {
    TRIT_DATA_BATCH,
    TRIT_DATA_SIZE,
    TRIT_DATA_RESIZE,
    TRIT_DATA_SEED,
    TRIT_DATA_WORKERS,
    TRIT_DATA_CACHE,
    TRIT_DATA_ON_ERROR,
    TRIT_DATA_SHUFFLE,
    TRIT_DATA_DROP_LAST,
    TRIT_DATA_LIMIT,
    TRIT_DATA_NORMALIZE,
    TRIT_DATA_MEAN,
    TRIT_DATA_STD,
    TRIT_DATA_DRAFT,
};
extern const trit_param trit_data_params[];

/* `steps` are applied to training images in order.  The data set keeps the source open. */
trit_status trit_data_open(const char *spec, const trit_args *options, const trit_step *steps,
                           int n_steps, trit_data **out);
trit_data *trit_data_retain(trit_data *d);
void trit_data_release(trit_data *d); /* NULL is fine */

typedef struct {
    const trit_source *source;
    const trit_args *options;
    int channels, height, width;  /* of a batch */
    int64_t size[TRIT_SPLITS];    /* samples after `limit` */
    int64_t batches[TRIT_SPLITS]; /* per epoch */
    double mean[3], std[3];
    char norm[80];       /* where mean and std come from */
    bool cached, scaled; /* decoded images are kept; JPEGs are decoded at reduced size */
} trit_data_facts;
void trit_data_query(const trit_data *d, trit_data_facts *facts);

double trit_data_wait_seconds(trit_data *d); /* consumer's waiting so far */
/* Damaged images met so far, each once: number, and the k-th in order of (split, index). */
int64_t trit_data_bad_count(trit_data *d);
bool trit_data_bad_at(trit_data *d, int64_t k, int *split, int64_t *index, char *text, size_t size);

/* Batches start_batch, start_batch + 1, ... of one pass (both from 0).  Training passes are
 * shuffled by (seed, epoch) and augmented by (seed, epoch, sample); test passes are neither. */
typedef struct trit_batches trit_batches;
trit_status trit_batches_open(trit_data *d, int split, int64_t epoch, int64_t start_batch,
                              trit_batches **out);
/* x f32[N,C,H,W] channels-last, y f32[N] of 1..C, both +1 reference; NULL, NULL after the last. */
trit_status trit_batches_next(trit_batches *b, trit_tensor **x, trit_tensor **y);
/* Batches of the pass handed out or left out so far: what start_batch must be to go on. */
int64_t trit_batches_position(const trit_batches *b);
void trit_batches_close(trit_batches *b); /* at any time; NULL is fine */

#endif
