/*
 * conv_depthwise.c - convolution with one input and one output channel a group; kernels in
 * isa/depthwise_kernels.c.  A channel multiplier above one goes the general way.
 */
#include "conv/depthwise.h"

#define SLOT_BYTES ((int64_t)8 << 20) /* of all partial weight gradients together */

static const depthwise_kernels *kernels(void) {
    static const depthwise_kernels *const sets[] = {&trit_depthwise_generic, &trit_depthwise_avx2,
                                                    &trit_depthwise_avx512};
    return sets[trit_isa_level()];
}

static bool fits(const trit_conv_geom *g, char pass) {
    (void)pass;
    return g->G == g->C && g->K == g->C;
}

static trit_status forward(const trit_conv_geom *g, const float *x, const float *w, float *y,
                           const trit_conv_along *along) {
    (void)along;
    depthwise_job job = {.g = g, .x = x, .w = w, .out = y};
    trit_parallel(g->N * g->P, kernels()->forward_row, &job);
    return TRIT_OK;
}

static trit_status backward_data(const trit_conv_geom *g, const float *dy, const float *w,
                                 float *dx, const trit_conv_along *along) {
    (void)along;
    depthwise_job job = {.g = g, .dy = dy, .w = w, .out = dx};
    trit_parallel(g->N * g->H, kernels()->data_row, &job);
    return TRIT_OK;
}

static trit_status backward_weight(const trit_conv_geom *g, const float *x, const float *dy,
                                   float *dw, const trit_conv_along *along) {
    (void)along;
    conv_slots slots;
    TRIT_TRY(trit_conv_slots_new(&slots, g->R * g->S * g->C, SLOT_BYTES, g->N * g->P, dw));
    depthwise_job job = {.g = g, .x = x, .dy = dy, .slots = &slots};
    trit_parallel(slots.slots, kernels()->weight_slot, &job);
    trit_conv_slots_add(&slots, dw);
    trit_conv_slots_free(&slots);
    return TRIT_OK;
}

const conv_algo trit_conv_depthwise = {
    .name = "depthwise",
    .fits = fits,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
