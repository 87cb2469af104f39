/*
 * winograd_weights.c - weights to U, and dU to the gradient of weights; see winograd.h.
 */
#include "conv/isa/square.h"
#include "conv/isa/winograd_math.h"
#include "conv/isa/winograd_tiles.h"

/* U of one input channel and one vector of output channels; `tap` floats from tap to tap. */
INLINE void transform_weight(const winograd_plan *p, const float *w, int64_t tap, float *u) {
    vec lines[6][3];
    UNROLL for (int j = 0; j < 3; j++) {
        vec g[3], o[6];
        UNROLL for (int i = 0; i < 3; i++) {
            int at = i * 3 + j;
            g[i] = load(w + (p->turned ? 8 - at : at) * tap);
        }
        weight_transform(g, o);
        UNROLL for (int i = 0; i < 6; i++) lines[i][j] = o[i];
    }
    UNROLL for (int i = 0; i < 6; i++) {
        vec o[6];
        weight_transform(lines[i], o);
        UNROLL for (int j = 0; j < 6; j++) store(u + (i * 6 + j) * p->u_position, o[j]);
    }
}

/* Backward data finds its weights as [tap][out][in]: LANES input channels of one vector of output
 * channels are turned round in registers, tap by tap, and then transformed. */
static void transform_square(const winograd_plan *p, const float *w, float *u) {
    float taps[9 * LANES * LANES];
    for (int64_t tap = 0; tap < 9; tap++)
        transpose_square(w + tap * p->in * p->out, p->in, taps + tap * LANES * LANES, LANES);
    for (int64_t l = 0; l < LANES; l++)
        transform_weight(p, taps + l * LANES, LANES * LANES, u + l * p->cv * LANES);
}

void SYMBOL(trit_winograd_weights)(const winograd_plan *p, int64_t block, int64_t c0, int64_t c1,
                                   float *u) {
    int64_t width = p->cv * LANES;
    for (int64_t c = c0; p->turned && c < c1; c += LANES)
        for (int64_t j = 0; j < p->cv; j++)
            transform_square(p, p->weights + (block * width + j * LANES) * p->in + c,
                             u + (c - c0) * width + j * LANES);
    for (int64_t c = c0; !p->turned && c < c1; c++)
        for (int64_t j = 0; j < p->cv; j++)
            transform_weight(p, p->weights + c * p->out + block * width + j * LANES, p->in * p->out,
                             u + (c - c0) * width + j * LANES);
}

/* dw of one input channel and one vector of output channels. */
INLINE void transform_gradient(const winograd_plan *p, const float *du, float *dw) {
    vec lines[3][6];
    UNROLL for (int j = 0; j < 6; j++) {
        vec u[6], g[3];
        UNROLL for (int i = 0; i < 6; i++) {
            const float *from = du + (i * 6 + j) * p->u_position;
            u[i] = load(from);
            for (int64_t slot = 1; slot < p->slots; slot++)
                u[i] += load(from + slot * p->out_blocks * p->u_block);
        }
        weight_gradient_transform(u, g);
        UNROLL for (int i = 0; i < 3; i++) lines[i][j] = g[i];
    }
    UNROLL for (int i = 0; i < 3; i++) {
        vec g[3];
        weight_gradient_transform(lines[i], g);
        UNROLL for (int j = 0; j < 3; j++) store(dw + (i * 3 + j) * p->in * p->out, g[j]);
    }
}

void SYMBOL(trit_winograd_weight_gradient)(const winograd_plan *p, int64_t block, int64_t c0,
                                           int64_t c1, const float *du) {
    int64_t width = p->cv * LANES;
    for (int64_t c = c0; c < c1; c++)
        for (int64_t j = 0; j < p->cv; j++)
            transform_gradient(p, du + (c - c0) * width + j * LANES,
                               p->result + c * p->out + block * width + j * LANES);
}
