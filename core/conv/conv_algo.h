/*
 * conv_algo.h - what a convolution algorithm is (conv layer only).
 *
 * Every algorithm is a row in conv.c's table.  All take the geometry as checked by the caller, with
 * at least one image and one output pixel, and overwrite their whole output.
 */
#ifndef TRIT_CONV_ALGO_H
#define TRIT_CONV_ALGO_H

#include "trit/conv.h"

typedef struct {
    const char *name;
    bool inexact; /* not a plain sum per output: never taken in exact mode */
    /* Can it do this pass ('f', 'd', 'w') of this geometry at the present instruction-set level? */
    bool (*fits)(const trit_conv_geom *g, char pass);
    /* Is it then the fastest?  NULL: yes, against what stands below it in the table. */
    bool (*pays)(const trit_conv_geom *g, char pass);
    /* Can it make and take rows?  If not, `along` is NULL. */
    bool (*rides)(const trit_conv_geom *g, char pass);
    trit_status (*forward)(const trit_conv_geom *g, const float *x, const float *w, float *y,
                           const trit_conv_along *along);
    /* What that needs besides, as trit_conv_forward_room says it; NULL: nothing. */
    trit_conv_room (*forward_room)(const trit_conv_geom *g);
    trit_status (*backward_data)(const trit_conv_geom *g, const float *dy, const float *w,
                                 float *dx, const trit_conv_along *along);
    trit_status (*backward_weight)(const trit_conv_geom *g, const float *x, const float *dy,
                                   float *dw, const trit_conv_along *along);
    /* Can it do both backward passes in one sweep, and does that pay?  NULL: no. */
    bool (*joins)(const trit_conv_geom *g);
    trit_status (*backward)(const trit_conv_geom *g, const float *x, const float *dy,
                            const float *w, float *dx, float *dw, const trit_conv_along *along);
} conv_algo;

/* The caller's room where it suffices, else `bytes` of the arena; NULL when there are none. */
static inline void *trit_conv_hold(const trit_conv_along *along, size_t bytes) {
    return along && along->room && along->room_bytes >= bytes ? along->room : trit_alloc(bytes);
}
static inline void trit_conv_let_go(const trit_conv_along *along, void *room, size_t bytes) {
    if (!along || room != along->room) trit_free(room, bytes);
}

extern const conv_algo *const trit_conv_algos[]; /* all, by preference, then NULL */

extern const conv_algo trit_conv_reference; /* conv_reference.c: loop nest in double */
extern const conv_algo trit_conv_direct;    /* conv_direct.c: register tiles         */
extern const conv_algo trit_conv_winograd;  /* conv_winograd.c: F(4x4, 3x3)           */
extern const conv_algo trit_conv_gemm;      /* conv_gemm.c: im2col + BLIS            */
extern const conv_algo trit_conv_depthwise; /* conv_depthwise.c: one channel a group */

/*
 * Weight gradients are sums over the whole batch.  They are accumulated in a number of slots that
 * depends on the problem only, each slot in a fixed order by one unit of work, and the slots are
 * added in order: the same bits for any thread count.
 */
typedef struct {
    float *sums;    /* [slots][length], cleared           */
    int64_t length; /* floats of one slot                 */
    int64_t slots;
    int64_t items; /* what is shared out: images, strips  */
    bool borrowed; /* one slot: sums is dw itself         */
} conv_slots;

/* Slots for `items` equal portions of work, at most `bytes` of them together unless one alone is
 * larger; one slot is `dw` itself. */
trit_status trit_conv_slots_new(conv_slots *s, int64_t length, int64_t bytes, int64_t items,
                                float *dw);
void trit_conv_slots_free(conv_slots *s);
/* Items [first, end) that belong to `slot`. */
int64_t trit_conv_slot_first(const conv_slots *s, int64_t slot);
/* dw[i] = sum over slots, in order, for i < length. */
void trit_conv_slots_add(const conv_slots *s, float *dw);

#endif
