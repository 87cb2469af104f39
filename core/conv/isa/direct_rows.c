/*
 * direct_rows.c - direct convolution, forward and backward data: the work of one unit.
 *
 * Weights of a register tile are taken in chunks of blocks that stay in the second-level cache
 * while all rows of the unit pass over them; between chunks the sums rest in the output.
 */
#include "conv/direct.h"

#include "conv/isa/strip.h"
#include "conv/isa/tiles.h"
#include "conv/isa/vec.h"

#define CHUNK_BYTES   ((int64_t)192 << 10) /* weights of one chunk: a part of a 1 MiB cache */
#define BUFFER_PIXELS 16                   /* pixels at a time where the last vector is not full */

/* A row whose last vector has only some channels: through a buffer of whole vectors. */
static void produce_partial(int64_t pixels, int64_t cv, int64_t channels, const rows_task *t,
                            const float *strip, const float *w, float *y) {
    float buffer[BUFFER_PIXELS * 4 * LANES] = {0};
    rows_task inner = *t;
    size_t bytes = (size_t)channels * sizeof(float);
    inner.ldy = cv * LANES;
    for (int64_t from = 0; from < pixels; from += BUFFER_PIXELS) {
        int64_t n = pixels - from < BUFFER_PIXELS ? pixels - from : BUFFER_PIXELS;
        float *to = y + from * t->ldy;
        for (int64_t i = 0; t->add && i < n; i++)
            memcpy(buffer + i * inner.ldy, to + i * t->ldy, bytes);
        SYMBOL(trit_conv_rows_tiles)(n, cv, &inner, strip + from * LANES, w, buffer);
        for (int64_t i = 0; i < n; i++) memcpy(to + i * t->ldy, buffer + i * inner.ldy, bytes);
    }
}

/* Where a unit stands: group, first row, strip, output image. */
typedef struct {
    const direct_plan *p;
    const float *packed; /* of the group */
    int64_t a0, a1;      /* rows of outputs, counted within a class */
    const float *strip;
    float *image; /* first channel of the group */
} unit_place;

/* Pixels that no tap reaches, `channels` from vector v. */
static void clear_class(const unit_place *u, const direct_class *c, int64_t v, int64_t channels) {
    const direct_plan *p = u->p;
    for (int64_t a = u->a0; a < u->a1; a++) {
        int64_t h = c->row + a * p->step_h;
        for (int64_t w = c->column; h < p->out_h && w < p->out_w; w += p->step_w)
            memset(u->image + (h * p->out_w + w) * p->out_c + v * LANES, 0,
                   (size_t)channels * sizeof(float));
    }
}

/* The tiles that start at vector v, all rows of the unit, one class. */
static void produce_vectors(const unit_place *u, const direct_class *c, int64_t v, int64_t cv,
                            const float *w) {
    const direct_plan *p = u->p;
    int64_t block_weights = c->taps * p->width * cv * LANES; /* of one block */
    int64_t chunk = CHUNK_BYTES / (block_weights * (int64_t)sizeof(float)) + 1;
    int64_t channels = p->channels - v * LANES;
    int64_t pixels = (p->out_w - c->column + p->step_w - 1) / p->step_w;
    for (int64_t b = 0; b < p->blocks; b += chunk, w += chunk * block_weights) {
        int64_t blocks = p->blocks - b < chunk ? p->blocks - b : chunk;
        rows_task t = {p->tap_offset + c->first_tap,
                       c->taps,
                       blocks,
                       p->block_floats,
                       p->width,
                       b + blocks == p->blocks ? p->last_width : p->width,
                       p->step_w * p->out_c,
                       b > 0};
        const float *strip = u->strip + b * p->block_floats;
        for (int64_t a = u->a0; a < u->a1; a++) {
            int64_t h = c->row + a * p->step_h;
            if (h >= p->out_h) break;
            const float *from = strip + (a - u->a0) * p->row_step * p->row_floats;
            float *y = u->image + (h * p->out_w + c->column) * p->out_c + v * LANES;
            if (channels >= cv * LANES)
                SYMBOL(trit_conv_rows_tiles)(pixels, cv, &t, from, w, y);
            else
                produce_partial(pixels, cv, channels, &t, from, w, y);
        }
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Channels from c0 of the unit's rows, all classes of which are finished. */
static void take_rows(const unit_place *u, int64_t n, int64_t block, int64_t c0, int64_t channels) {
    const direct_plan *p = u->p;
    const int64_t h0 = u->a0 * p->step_h, h1 = least(u->a1 * p->step_h, p->out_h);
    double *sums = p->sums + (n * p->row_blocks + block) * 2 * p->out_c;
    trit_rows_take(p->take, (n * p->out_h + h0) * p->out_w, (h1 - h0) * p->out_w, c0, c0 + channels,
                   p->out, sums);
}

/* One register tile's channels of all classes. */
static void produce_tile(const unit_place *u, int64_t v, int64_t cv) {
    const direct_plan *p = u->p;
    for (int64_t k = 0; k < p->classes; k++) {
        const direct_class *c = &p->class[k];
        if (c->column >= p->out_w) continue;
        const float *w = u->packed + c->first_tap * p->depth * p->vectors * LANES;
        if (c->taps)
            produce_vectors(u, c, v, cv, w + v * LANES * c->taps * p->depth);
        else
            clear_class(u, c, v, least(cv * LANES, p->channels - v * LANES));
    }
}

static void rows_unit(void *context, int64_t unit, int worker) {
    const direct_plan *p = context;
    int64_t part = unit % p->parts, block = unit / p->parts % p->row_blocks;
    int64_t group = unit / p->parts / p->row_blocks % p->groups;
    int64_t n = unit / p->parts / p->row_blocks / p->groups;
    float *strip = trit_scratch(worker);
    unit_place u = {p,
                    p->packed + group * p->taps * p->depth * p->vectors * LANES,
                    block * p->rows,
                    least((block + 1) * p->rows, p->all_rows),
                    strip,
                    p->out + n * p->out_h * p->out_w * p->out_c + group * p->channels};
    fill_strip(p, n, group, u.a0, 0, p->blocks, strip, strip + p->blocks * p->block_floats);
    for (int64_t v = 0, tile = 0, cv; v < p->vectors; v += cv, tile++) {
        cv = direct_tile_vectors(p, v);
        if (tile % p->parts != part) continue;
        produce_tile(&u, v, cv);
        if (p->take && p->parts > 1)
            take_rows(&u, n, block, group * p->channels + v * LANES,
                      least(cv * LANES, p->channels - v * LANES));
    }
    if (p->take && p->parts == 1) take_rows(&u, n, block, group * p->channels, p->channels);
}

void SYMBOL(trit_direct_weight_unit)(void *context, int64_t unit, int worker);

const direct_kernels SYMBOL(trit_direct) = {
    .lanes = LANES,
    .wide_tile = LANES == 16 ? 4 : 2,
    .wide_pixels = LANES == 16 ? 7 : 6,
    .rows_unit = rows_unit,
    .weight_unit = SYMBOL(trit_direct_weight_unit),
};
