/*
 * dataset.h - a source with options: how one sample of one epoch comes about.
 */
#ifndef TRIT_DATA_DATASET_H
#define TRIT_DATA_DATASET_H

#include <pthread.h>
#include <stdatomic.h>

#include "data/augment.h"
#include "trit/data.h"

typedef struct {
    int split;
    int64_t index;
    char *text;
} trit_bad;

struct trit_data {
    atomic_int refs;
    trit_source *source;
    trit_args options;
    trit_step steps[TRIT_MAX_TRANSFORMS];
    int n_steps;
    uint64_t seed;
    int height, width, resize; /* pixels of a batch; shorter side of a test image before the cut */
    double mean[3], std[3];
    char norm[80];
    trit_norm normalize;
    int64_t size[TRIT_SPLITS]; /* after limit */
    bool cached;
    _Atomic(trit_image *) *cache[TRIT_SPLITS]; /* [count]; NULL: not decoded yet */
    pthread_mutex_t lock;                      /* of what follows */
    trit_bad *bad;                             /* sorted by (split, index) */
    int64_t n_bad, bad_room;
    double wait_seconds;
};

/* What one loader thread owns; zero-initialise. */
typedef struct {
    trit_reader reader;
    trit_image image;
    trit_view view;
    /* for the scaled decoding of this sample */
    const trit_data *data;
    int split;
    uint64_t key;
} trit_sampler;

void trit_sampler_close(trit_sampler *s);
/* Position in the pass's set (0 .. size-1) -> index in the source: `limit` takes an even subset. */
int64_t trit_data_pick(const trit_data *d, int split, int64_t position);
/* Remember the thread's last sentence for this image; once. */
void trit_data_note_bad(trit_data *d, int split, int64_t index);
/* One sample: out f32[h,w,c], *label from 0.  *skipped: damaged, and the policy leaves it out. */
trit_status trit_data_sample(trit_data *d, trit_sampler *s, int split, int64_t epoch,
                             int64_t position, float *out, int *label, bool *skipped);

#endif
