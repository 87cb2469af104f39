/*
 * dataset.c - a source with options: size, normalization, cache, damaged images, one sample.
 *
 * Damaged images.  "replace" (default): the next readable image of the split in file order stands
 * in, with its label, so batches keep their size; "skip": the batch is one sample smaller; "fail":
 * iteration ends with the file's name.  Either way the file is remembered once, with the reason.
 *
 * Cache.  Decoded images are kept when the whole set fits the `cache` option, all or nothing and
 * decided on opening.  With the cache JPEGs are decoded in full, without it only where a crop
 * looks; the pixels are the same.
 *
 * Draft.  With this option (the word is Pillow's) JPEGs are decoded at the smallest of 1, 1/2, 1/4,
 * 1/8 of their size that still covers the first resize: a box filter before the triangle, so other
 * pixels.  Large photographs load several times faster.  Images that are cached are decoded in full
 * all the same.
 */
#include "data/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/source.h"

#define PROBES         32    /* images looked at to learn sizes                                  */
#define MIXED_SIZE     224   /* of a batch when sizes differ: the ImageNet convention            */
#define CROP_SHARE     0.875 /* of the resized side that a test crop keeps: 224 of 256           */
#define PLAIN_BELOW    128   /* smaller targets are not cropped: the picture fills small images  */
#define MEASURE_IMAGES 2000  /* for normalize = "measure": the mean is good to about 0.5 %       */

const trit_param trit_data_params[] = {
    {.name = "batch",
     .integer = true,
     .def = 128,
     .min = 1,
     .max = 65536,
     .doc = "samples per batch"},
    {.name = "size",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 4096,
     .choices = "auto=0",
     .number = true,
     .doc = "pixels of a batch's images; auto: the images' own size, 224 when they differ"},
    {.name = "resize",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 8192,
     .choices = "auto=0",
     .number = true,
     .doc = "shorter side of a test image before the centre crop; auto: size / 0.875 from 128 "
            "pixels on, else size"},
    {.name = "seed",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 9007199254740992.0,
     .doc = "of order and augmentation"},
    {.name = "workers", .integer = true, .def = 2, .min = 1, .max = 64, .doc = "loader threads"},
    {.name = "cache",
     .def = 1073741824.0,
     .min = 0,
     .max = 1e15,
     .choices = "none=0",
     .number = true,
     .doc = "bytes: keep decoded images when the whole set takes no more"},
    {.name = "on_error",
     .def = TRIT_DATA_REPLACE,
     .choices = "replace|skip|fail",
     .doc = "damaged image: use the next one, leave it out, or stop"},
    {.name = "shuffle", .def = 1, .choices = TRIT_BOOL, .doc = "training order by (seed, epoch)"},
    {.name = "drop_last",
     .def = 0,
     .choices = TRIT_BOOL,
     .doc = "leave out a last training batch that is not full"},
    {.name = "limit",
     .integer = true,
     .def = 0,
     .min = 0,
     .max = 1e12,
     .choices = "none=0",
     .number = true,
     .doc = "use at most so many samples of each split, evenly spread"},
    {.name = "normalize",
     .def = 0,
     .choices = "source|cifar10|imagenet|measure|none",
     .doc = "mean and std: the source's own, constants, measured on training images, or 0 and 1"},
    {.name = "mean",
     .def = 0,
     .min = -10,
     .max = 10,
     .len = 3,
     .list = true,
     .doc = "per channel, 1 = white; overrides normalize"},
    {.name = "std",
     .def = 1,
     .min = 1e-6,
     .max = 100,
     .len = 3,
     .list = true,
     .doc = "per channel, 1 = white; overrides normalize"},
    {.name = "draft",
     .def = 0,
     .choices = TRIT_BOOL,
     .doc = "decode JPEGs at 1/2, 1/4 or 1/8 where that covers the resize: faster, other pixels"},
    {0}};

static double option(const trit_data *d, int row) { return d->options.v[row][0]; }

/* ------------------------------------------------------------------------ opening */

static int eighth(void *context, int h, int w) {
    (void)context;
    (void)h;
    (void)w;
    return 8; /* only the stored size is wanted */
}

/* Common size (0 = they differ) and mean bytes of some images. */
static trit_status probe(const trit_source *s, int *h, int *w, double *bytes) {
    int split = s->count[TRIT_TRAIN] ? TRIT_TRAIN : TRIT_TEST;
    int64_t n = s->count[split] < PROBES ? s->count[split] : PROBES, seen = 0;
    trit_reader r = {.scale = eighth};
    trit_image im = {0};
    trit_status status = TRIT_OK;
    *h = *w = 0;
    *bytes = 0;
    for (int64_t i = 0; i < n && status == TRIT_OK; i++) {
        status = s->kind->read(s, split, i * s->count[split] / n, &r, &im);
        if (status == TRIT_ERR_IO) {
            status = TRIT_OK; /* damaged: reported when it is used */
            continue;
        }
        *bytes += (double)r.facts.h * r.facts.w * s->channels;
        if (seen++ == 0) {
            *h = r.facts.h;
            *w = r.facts.w;
        } else if (*h != r.facts.h || *w != r.facts.w) {
            *h = *w = -1;
        }
    }
    if (seen) *bytes /= (double)seen;
    if (*h < 0) *h = *w = 0;
    trit_image_free(&im);
    trit_reader_close(&r);
    return status;
}

/* Mean and standard deviation over pixels of an even subset of the training images. */
static trit_status measure(trit_data *d) {
    const trit_source *s = d->source;
    int split = s->count[TRIT_TRAIN] ? TRIT_TRAIN : TRIT_TEST, c_n = s->channels;
    int64_t n = s->count[split] < MEASURE_IMAGES ? s->count[split] : MEASURE_IMAGES, pixels = 0;
    uint64_t sum[3] = {0}, squares[3] = {0};
    trit_reader r = {0};
    trit_image im = {0};
    trit_status status = TRIT_OK;
    for (int64_t i = 0; i < n && status == TRIT_OK; i++) {
        status = s->kind->read(s, split, i * s->count[split] / n, &r, &im);
        if (status != TRIT_OK) {
            status = status == TRIT_ERR_IO ? TRIT_OK : status;
            continue;
        }
        int64_t count = (int64_t)im.h * im.w;
        for (int64_t p = 0; p < count; p++)
            for (int c = 0; c < c_n; c++) {
                uint64_t v = im.px[p * c_n + c];
                sum[c] += v;
                squares[c] += v * v;
            }
        pixels += count;
    }
    for (int c = 0; c < c_n && pixels; c++) {
        double mean = (double)sum[c] / (double)pixels;
        double var = (double)squares[c] / (double)pixels - mean * mean;
        d->mean[c] = mean / 255;
        d->std[c] = var > 0 ? sqrt(var) / 255 : 1;
    }
    snprintf(d->norm, sizeof d->norm, "measured on %lld images", (long long)n);
    trit_image_free(&im);
    trit_reader_close(&r);
    return status;
}

static trit_status set_norm(trit_data *d) {
    enum { SOURCE, CIFAR10, IMAGENET, MEASURE, NONE };
    trit_source constants = *d->source; /* its mean, std, norm, or those of a named set */
    int way = (int)option(d, TRIT_DATA_NORMALIZE);
    if (way == CIFAR10) trit_source_norm_cifar10(&constants);
    if (way == IMAGENET) trit_source_norm_imagenet(&constants);
    for (int c = 0; c < 3; c++) {
        d->mean[c] = way == NONE ? 0 : constants.mean[c];
        d->std[c] = way == NONE ? 1 : constants.std[c];
    }
    snprintf(d->norm, sizeof d->norm, "%s", way == NONE ? "none" : constants.norm);
    if (way == MEASURE) TRIT_TRY(measure(d));
    const int rows[2] = {TRIT_DATA_MEAN, TRIT_DATA_STD};
    for (int k = 0; k < 2; k++) {
        int given = d->options.n[rows[k]];
        if (given == 0) continue;
        if (given != 1 && given != d->source->channels)
            return trit_fail(TRIT_ERR_ARG, "data: option %s has %d values, the images %d channels",
                             trit_data_params[rows[k]].name, given, d->source->channels);
        for (int c = 0; c < 3; c++)
            (k ? d->std : d->mean)[c] = d->options.v[rows[k]][given == 1 ? 0 : c];
        snprintf(d->norm, sizeof d->norm, "options");
    }
    trit_norm_set(&d->normalize, d->source->channels, d->mean, d->std);
    return TRIT_OK;
}

static trit_status set_sizes(trit_data *d) {
    const trit_source *s = d->source;
    int h = s->height, w = s->width, size = (int)option(d, TRIT_DATA_SIZE);
    double bytes = (double)h * w * s->channels;
    if (h == 0) TRIT_TRY(probe(s, &h, &w, &bytes));
    d->height = size ? size : h ? h : MIXED_SIZE;
    d->width = size ? size : w ? w : MIXED_SIZE;
    int shorter = d->height < d->width ? d->height : d->width;
    int resize = (int)option(d, TRIT_DATA_RESIZE);
    d->resize = resize ? resize
                : shorter < PLAIN_BELOW || (h == d->height && w == d->width)
                    ? shorter
                    : (int)lround(shorter / CROP_SHARE);
    double limit = option(d, TRIT_DATA_LIMIT), images = 0;
    for (int split = 0; split < TRIT_SPLITS; split++) {
        d->size[split] = s->count[split];
        if (limit > 0 && limit < (double)d->size[split]) d->size[split] = (int64_t)limit;
        if (d->size[split] > UINT32_MAX)
            return trit_fail(TRIT_ERR_UNSUPPORTED, "data: %lld images, at most 2^32 - 1 a split",
                             (long long)d->size[split]);
        images += (double)d->size[split];
    }
    d->cached = !s->kind->resident && bytes * images <= option(d, TRIT_DATA_CACHE);
    for (int split = 0; d->cached && split < TRIT_SPLITS; split++) {
        d->cache[split] = calloc((size_t)s->count[split] + 1, sizeof *d->cache[split]);
        if (!d->cache[split]) return trit_fail(TRIT_ERR_MEM, "data: no room for the cache");
    }
    return TRIT_OK;
}

trit_status trit_data_open(const char *spec, const trit_args *options, const trit_step *steps,
                           int n_steps, trit_data **out) {
    if (n_steps > TRIT_MAX_TRANSFORMS)
        return trit_fail(TRIT_ERR_ARG, "data: %d augmentation steps, at most %d are possible",
                         n_steps, TRIT_MAX_TRANSFORMS);
    trit_data *d = calloc(1, sizeof *d);
    if (!d) return trit_fail(TRIT_ERR_MEM, "data: no room for a data set");
    atomic_init(&d->refs, 1);
    pthread_mutex_init(&d->lock, NULL);
    d->options = *options;
    d->seed = (uint64_t)option(d, TRIT_DATA_SEED);
    for (int i = 0; i < n_steps; i++) d->steps[i] = steps[i];
    d->n_steps = n_steps;
    trit_status status = trit_source_open(spec, &d->source);
    if (status == TRIT_OK) status = set_sizes(d);
    if (status == TRIT_OK) status = set_norm(d);
    if (status != TRIT_OK) {
        trit_data_release(d);
        return status;
    }
    *out = d;
    return TRIT_OK;
}

trit_data *trit_data_retain(trit_data *d) {
    atomic_fetch_add(&d->refs, 1);
    return d;
}

void trit_data_release(trit_data *d) {
    if (!d || atomic_fetch_sub(&d->refs, 1) > 1) return;
    for (int split = 0; split < TRIT_SPLITS; split++) {
        for (int64_t i = 0; d->cache[split] && i < d->source->count[split]; i++) {
            trit_image *im = atomic_load(&d->cache[split][i]);
            free(im); /* one block: header and pixels */
        }
        free(d->cache[split]);
    }
    for (int64_t k = 0; k < d->n_bad; k++) free(d->bad[k].text);
    free(d->bad);
    trit_source_close(d->source);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static bool scaled(const trit_data *d) {
    return !d->cached && !d->source->kind->resident && option(d, TRIT_DATA_DRAFT) != 0;
}

void trit_data_query(const trit_data *d, trit_data_facts *f) {
    *f = (trit_data_facts){.source = d->source,
                           .options = &d->options,
                           .channels = d->source->channels,
                           .height = d->height,
                           .width = d->width,
                           .cached = d->cached,
                           .scaled = scaled(d)};
    int64_t batch = (int64_t)option(d, TRIT_DATA_BATCH);
    for (int split = 0; split < TRIT_SPLITS; split++) {
        bool drop = split == TRIT_TRAIN && option(d, TRIT_DATA_DROP_LAST) != 0;
        f->size[split] = d->size[split];
        f->batches[split] = drop ? d->size[split] / batch : (d->size[split] + batch - 1) / batch;
    }
    memcpy(f->mean, d->mean, sizeof f->mean);
    memcpy(f->std, d->std, sizeof f->std);
    snprintf(f->norm, sizeof f->norm, "%s", d->norm);
}

/* ----------------------------------------------------------------- damaged images */

void trit_data_note_bad(trit_data *d, int split, int64_t index) {
    pthread_mutex_lock(&d->lock);
    int64_t k = d->n_bad;
    while (k > 0 && (d->bad[k - 1].split > split ||
                     (d->bad[k - 1].split == split && d->bad[k - 1].index >= index)))
        k--;
    bool known = k < d->n_bad && d->bad[k].split == split && d->bad[k].index == index;
    if (!known && d->n_bad == d->bad_room) {
        int64_t room = 2 * d->bad_room + 16;
        trit_bad *grown = realloc(d->bad, (size_t)room * sizeof *grown);
        known = !grown; /* no memory to remember it: it is met again */
        if (grown) {
            d->bad = grown;
            d->bad_room = room;
        }
    }
    char *text = known ? NULL : strdup(trit_last_error());
    if (text) {
        memmove(d->bad + k + 1, d->bad + k, (size_t)(d->n_bad - k) * sizeof *d->bad);
        d->bad[k] = (trit_bad){split, index, text};
        d->n_bad++;
    }
    pthread_mutex_unlock(&d->lock);
}

int64_t trit_data_bad_count(trit_data *d) {
    pthread_mutex_lock(&d->lock);
    int64_t n = d->n_bad;
    pthread_mutex_unlock(&d->lock);
    return n;
}

bool trit_data_bad_at(trit_data *d, int64_t k, int *split, int64_t *index, char *text,
                      size_t size) {
    pthread_mutex_lock(&d->lock);
    bool there = k >= 0 && k < d->n_bad;
    if (there) {
        *split = d->bad[k].split;
        *index = d->bad[k].index;
        snprintf(text, size, "%s", d->bad[k].text);
    }
    pthread_mutex_unlock(&d->lock);
    return there;
}

double trit_data_wait_seconds(trit_data *d) {
    pthread_mutex_lock(&d->lock);
    double seconds = d->wait_seconds;
    pthread_mutex_unlock(&d->lock);
    return seconds;
}
