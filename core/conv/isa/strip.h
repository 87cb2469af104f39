/*
 * strip.h - copies source rows into the zero-padded strip of a direct convolution; see direct.h.
 *
 * This is the one place where a direct convolution reads its source, and where rows of it are made
 * (trit/rows.h).
 */
#ifndef TRIT_CONV_STRIP_H
#define TRIT_CONV_STRIP_H

#include <string.h>

#include "conv/direct.h"
#include "conv/isa/vec.h"

/* n <= LANES floats; `whole` says that LANES floats may be read. */
INLINE void copy_pixel(float *to, const float *from, int64_t n, bool whole) {
    if (whole)
        store(to, load(from));
    else
        for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

/* Columns of one phase of one block of a row; `row` is source column 0 of the block, `end` is where
 * reading must stop. */
static void fill_columns(const direct_plan *p, const float *row, const float *end, int64_t phase,
                         int64_t n, float *to) {
    int64_t shift = phase + p->first_col, j = 0;
    for (; j < p->cols && j * p->col_step + shift < 0; j++) store(to + j * LANES, (vec){0});
    const float *from = row + (j * p->col_step + shift) * p->src_c;
    int64_t step = p->col_step * p->src_c;
    int64_t inside = (p->src_w - shift + p->col_step - 1) / p->col_step; /* first column beyond */
    if (inside > p->cols) inside = p->cols;
    if (n == LANES)
        for (; j < inside; j++, from += step) store(to + j * LANES, load(from));
    else
        for (; j < inside; j++, from += step)
            copy_pixel(to + j * LANES, from, n, from + LANES <= end);
    for (; j < p->cols; j++) store(to + j * LANES, (vec){0});
}

/* The same for a folded row: block b holds values [b*width, b*width + n) of every pixel's run of
 * fold * channels floats, which lie side by side in the row. */
static void fill_runs(const direct_plan *p, const float *row, const float *end, int64_t b,
                      int64_t n, float *to) {
    int64_t length = p->src_w * p->src_c, step = p->col_step * p->src_c;
    int64_t at = p->first_col * p->src_c + b * p->width;
    bool whole = row + length + LANES <= end; /* reading past a run stays inside x */
    for (int64_t j = 0; j < p->cols; j++, at += step, to += LANES) {
        if (at >= 0 && at + n <= length) {
            copy_pixel(to, row + at, n, whole);
            continue;
        }
        for (int64_t i = 0; i < n; i++) to[i] = at + i >= 0 && at + i < length ? row[at + i] : 0.0f;
    }
}

INLINE int64_t block_width(const direct_plan *p, int64_t b) {
    return b == p->blocks - 1 ? p->last_width : p->width;
}

static void fill_row(const direct_plan *p, const float *row, const float *end, int64_t b,
                     float *to) {
    if (p->fold > 1) {
        fill_runs(p, row, end, b, block_width(p, b), to);
        return;
    }
    for (int64_t f = 0; f < p->phases; f++)
        fill_columns(p, row + b * LANES, end, f, block_width(p, b), to + f * p->cols * LANES);
}

/* Source row h of image n, from the group's first channel; made in `room` when it is not there. */
static const float *source_row(const direct_plan *p, int64_t n, int64_t group, int64_t h,
                               float *room, const float **end) {
    const int64_t first = (n * p->src_h + h) * p->src_w, length = p->src_w * p->src_c;
    *end = p->source_rows ? room + length + LANES : p->source_end;
    if (!p->source_rows) return p->source + first * p->src_c + group * p->src_group;
    trit_rows_make(p->source_rows, first, p->src_w, room);
    return room + group * p->src_group;
}

/* Blocks [b0, b1) of the strip of image n for output rows from `a`; `room` for a made row. */
static void fill_strip(const direct_plan *p, int64_t n, int64_t group, int64_t a, int64_t b0,
                       int64_t b1, float *strip, float *room) {
    for (int64_t i = 0; i < p->strip_rows; i++) {
        int64_t h = (a * p->row_step + i) * p->row_pitch + p->first_row;
        float *to = strip + i * p->row_floats;
        const bool inside = h >= 0 && h < p->src_h;
        const float *end = NULL, *row = inside ? source_row(p, n, group, h, room, &end) : NULL;
        for (int64_t b = b0; b < b1; b++, to += p->block_floats)
            if (inside)
                fill_row(p, row, end, b, to);
            else
                memset(to, 0, (size_t)p->row_floats * sizeof(float));
    }
}

#endif
