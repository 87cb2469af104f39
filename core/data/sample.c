/*
 * sample.c - one sample of one pass: read or find in the cache, cut, normalize.
 */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

void trit_sampler_close(trit_sampler *s) {
    trit_reader_close(&s->reader);
    trit_image_free(&s->image);
    trit_view_close(&s->view);
}

int64_t trit_data_pick(const trit_data *d, int split, int64_t position) {
    int64_t n = d->size[split], all = d->source->count[split];
    return n == all ? position : (int64_t)((__int128)position * all / n);
}

/* Training steps, or resize and centre crop. */
static trit_status cut(const trit_sampler *s, trit_view *v) {
    const trit_data *d = s->data;
    if (s->split == TRIT_TRAIN) return trit_view_apply(v, d->steps, d->n_steps, d->seed, s->key);
    if (v->stored_h != v->target_h || v->stored_w != v->target_w)
        TRIT_TRY(trit_view_fit(v, d->resize));
    return trit_view_apply(v, NULL, 0, 0, 0);
}

/* Denominator for a JPEG of h x w pixels: a dry run tells how much the first resize shrinks. */
static int scale_for(void *context, int h, int w) {
    const trit_sampler *s = context;
    trit_image size_only = {.h = h, .w = w, .c = 3};
    trit_view dry = {.target_h = s->data->height, .target_w = s->data->width};
    trit_view_start(&dry, &size_only, h, w);
    if (cut(s, &dry) != TRIT_OK) return 1;
    int denominator = 1;
    while (denominator < 8 && dry.shrink >= 2 * denominator) denominator *= 2;
    return denominator;
}

/* Keep a copy of the decoded image, header and pixels in one block; no memory: no copy. */
static void keep(_Atomic(trit_image *) *slot, const trit_image *im) {
    size_t bytes = (size_t)im->h * (size_t)im->w * (size_t)im->c;
    trit_image *copy = malloc(sizeof *copy + bytes), *none = NULL;
    if (!copy) return;
    *copy = *im;
    copy->px = (uint8_t *)(copy + 1);
    memcpy(copy->px, im->px, bytes);
    if (!atomic_compare_exchange_strong(slot, &none, copy)) free(copy);
}

/* The image of `index`, and the size it is stored in. */
static trit_status fetch(trit_sampler *s, int64_t index, const trit_image **out, int *h, int *w) {
    const trit_data *d = s->data;
    if (d->cached) {
        *out = atomic_load(&d->cache[s->split][index]);
        if (*out) {
            *h = (*out)->h;
            *w = (*out)->w;
            return TRIT_OK;
        }
    }
    const bool draft = !d->cached && d->options.v[TRIT_DATA_DRAFT][0] != 0;
    s->reader.scale = draft ? scale_for : NULL;
    s->reader.context = s;
    TRIT_TRY(d->source->kind->read(d->source, s->split, index, &s->reader, &s->image));
    if (d->cached) keep(&d->cache[s->split][index], &s->image);
    *out = &s->image;
    *h = s->reader.facts.h;
    *w = s->reader.facts.w;
    return TRIT_OK;
}

trit_status trit_data_sample(trit_data *d, trit_sampler *s, int split, int64_t epoch,
                             int64_t position, float *out, int *label, bool *skipped) {
    int64_t n = d->size[split];
    int policy = (int)d->options.v[TRIT_DATA_ON_ERROR][0], h = 0, w = 0;
    const trit_image *image = NULL;
    trit_status status = TRIT_ERR_IO;
    *skipped = false;
    s->data = d;
    s->split = split;
    s->key = (uint64_t)epoch << 32 | (uint64_t)trit_data_pick(d, split, position);
    for (int64_t k = 0; k < n; k++) { /* replacements: the next positions in file order */
        int64_t index = trit_data_pick(d, split, (position + k) % n);
        status = fetch(s, index, &image, &h, &w);
        if (status == TRIT_OK) *label = d->source->kind->label(d->source, split, index);
        if (status != TRIT_ERR_IO) break;
        trit_data_note_bad(d, split, index);
        *skipped = policy == TRIT_DATA_SKIP;
        if (*skipped) return TRIT_OK;
        if (policy == TRIT_DATA_FAIL) break;
    }
    if (status != TRIT_OK) return status;
    s->view.target_h = d->height;
    s->view.target_w = d->width;
    trit_view_start(&s->view, image, h, w);
    TRIT_TRY(cut(s, &s->view));
    trit_view_normalize(&s->view, &d->normalize, out);
    return TRIT_OK;
}
