/*
 * u8.h - the integer engine: values as bytes q = round(v / step) + zero, weights as codes.
 *
 * A value lies channels-last in a frame of `pad` pixels that hold its zero point, so that
 * convolutions read it without looking where the image ends; the frame is as wide as its widest
 * reader needs.  Results go from integer sums to bytes by one float32 product and a few sums a
 * number (finish.def), the same bits on every instruction set.
 */
#ifndef TRIT_INFER_U8_H
#define TRIT_INFER_U8_H

#include "infer/dot.h"
#include "infer/finish.h"
#include "infer/runner.h"
#include "infer/wino.h"

#define SLACK 64 /* bytes behind a frame that a last group or vector may read */

typedef struct {
    float step, zero, top;                /* v = (q - zero) step, q in 0 .. top */
    int64_t C, H, W, pad_h, pad_w, pitch; /* pitch: bytes from row to row */
    size_t bytes;                         /* of one image */
    bool none;                            /* the result itself: numbers in the caller's memory */
} u8_value;

typedef enum { U8_DOT, U8_WINO, U8_GROUPED, U8_FLOAT } u8_way;

/* What a conv node needs beyond the graph. */
typedef struct {
    u8_way way;
    const trit_dot_set *set;   /* DOT */
    const trit_wino_set *wino; /* WINO */
    trit_dot_shape shape;
    int32_t *offset;
    bool sums;             /* the set wants sums of pixels */
    int64_t block;         /* rows of a block */
    int64_t wide;          /* pixels of a row of sums: WINO's are of whole pairs */
    int64_t strip, strips; /* rows of a unit, units down an image */
    int64_t share, shares; /* blocks of a unit, units of a strip */
    int64_t band;          /* rows at a time */
    int64_t plane;         /* WINO: bytes of a plane of a strip */
    int planes;            /* of codes, each of one scale: two-sided ones count double */
    int64_t blocks;        /* of rows */
    size_t block_bytes;
    uint8_t *packed; /* [planes][blocks][block_bytes]; GROUPED: codes [planes][len][K] */
    float *scale;    /* [planes][K] */
    float *weights;  /* FLOAT: [R][S][C/groups][K], in steps of the result */
    int64_t origin;  /* bytes from a frame's start to the first window */
} u8_conv;

typedef struct {
    u8_value *values;     /* [n + 1] */
    u8_conv *convs;       /* [n], only convs' are filled */
    float **bias;         /* [n] -> [K]: in steps of the result, all zero points included */
    float **gain;         /* [n] -> [K]: pointwise and pools */
    uint8_t *weights;     /* all packed weights */
    float *vectors;       /* all scales, biases, gains */
    size_t scratch;       /* bytes a worker needs */
    size_t room, room_at; /* bytes float convolutions hold, and where they lie in the arena */
} u8_state;

/* u8_prepare.c */
trit_status trit_u8_prepare(trit_runner *r);
void trit_u8_release(trit_runner *r);

/* Rows and columns of the input that `rows` rows of results read. */
static inline int64_t u8_rows_read(const trit_node *d, int64_t rows) {
    return (rows - 1) * d->stride_h + (d->R - 1) * d->dil_h + 1;
}
static inline int64_t u8_columns_read(const trit_node *d) {
    return (d->Q - 1) * d->stride_w + (d->S - 1) * d->dil_w + 1;
}

static inline uint8_t *u8_image(const trit_runner *r, int64_t value, int64_t image) {
    const u8_state *s = r->state;
    return r->arena + r->spans[value].offset + (size_t)image * s->values[value].bytes;
}

/* Where pixel (p, 0) of an image's frame starts. */
static inline uint8_t *u8_row(const u8_value *v, uint8_t *image, int64_t p) {
    return image + (p + v->pad_h) * v->pitch + v->pad_w * v->C;
}

#endif
