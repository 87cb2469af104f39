/*
 * direct_weight.c - direct convolution, backward weight: the work of one unit.
 *
 *   dw[tap, d, k] += sum over the unit's pixels of strip[pixel + tap][d] * dy[pixel][k]
 *
 * A unit is one slot's rows, one group, one part of the blocks.
 */
#include "conv/direct.h"

#include "conv/isa/strip.h"
#include "conv/isa/tiles.h"
#include "conv/isa/vec.h"

void SYMBOL(trit_direct_weight_unit)(void *context, int64_t unit, int worker);

/* A tile whose last vector has only some channels: through a buffer of whole vectors. */
static void accumulate_partial(int64_t width, int64_t cv, int64_t channels, const weight_task *t,
                               const float *strip, const float *dy, float *dw) {
    float buffer[LANES * 2 * LANES] = {0};
    weight_task inner = *t;
    inner.ldw = cv * LANES;
    SYMBOL(trit_conv_weight_tiles)(width, cv, &inner, strip, dy, buffer);
    for (int64_t i = 0; i < width; i++)
        for (int64_t k = 0; k < channels; k++) dw[i * t->ldw + k] += buffer[i * inner.ldw + k];
}

/* Every block, tap and value against a panel of dy that starts at vector v. */
static void accumulate_taps(const direct_plan *p, int64_t b0, int64_t b1, int64_t v, int64_t cv,
                            const weight_task *t, const float *strip, const float *panel,
                            float *dw) {
    int64_t channels = p->channels - v * LANES;
    for (int64_t b = b0; b < b1; b++) {
        int64_t width = block_width(p, b);
        for (int64_t tap = 0; tap < p->taps; tap++) {
            const float *at = strip + (b - b0) * p->block_floats + p->tap_offset[tap];
            float *to = dw + (p->tap_index[tap] * p->depth + b * p->width) * t->ldw + v * LANES;
            if (channels >= cv * LANES)
                SYMBOL(trit_conv_weight_tiles)(width, cv, t, at, panel, to);
            else
                accumulate_partial(width, cv, channels, t, at, panel, to);
        }
    }
}

/* Channels from vector v of the unit's dy as panel[pixel][cv*LANES], zeros beyond the last.  Read
 * in place, pixels would lie K floats apart: for a power of two all in a few cache sets. */
static void copy_panel(const direct_plan *p, int64_t pixels, int64_t v, int64_t cv, const float *dy,
                       float *panel) {
    int64_t n = p->channels - v * LANES;
    for (dy += v * LANES; pixels > 0; pixels--, dy += p->out_c)
        for (int64_t j = 0; j < cv; j++, panel += LANES) {
            if ((j + 1) * LANES <= n) {
                store(panel, load(dy + j * LANES));
                continue;
            }
            store(panel, (vec){0});
            memcpy(panel, dy + j * LANES, (size_t)(n - j * LANES) * sizeof(float));
        }
}

/* Rows [a0, a1) of dy, in place or made in `room`. */
static const float *unit_dy(const direct_plan *p, int64_t n, int64_t a0, int64_t a1, float *room) {
    const int64_t first = (n * p->out_h + a0) * p->out_w;
    if (!p->dy_rows) return p->dy + first * p->out_c;
    trit_rows_make(p->dy_rows, first, (a1 - a0) * p->out_w, room);
    return room;
}

static void weight_item(const direct_plan *p, int64_t item, int64_t group, int64_t b0, int64_t b1,
                        float *scratch, float *dw) {
    int64_t n = item / p->row_blocks, a0 = item % p->row_blocks * p->rows;
    int64_t a1 = a0 + p->rows < p->out_h ? a0 + p->rows : p->out_h;
    float *strip = scratch, *panel = scratch + (b1 - b0) * p->block_floats;
    fill_strip(p, n, group, a0, b0, b1, strip, panel);
    const float *dy = unit_dy(p, n, a0, a1, panel + 2 * p->rows * p->out_w * LANES);
    dy += group * p->channels;
    for (int64_t v = 0, cv; v < p->vectors; v += cv) {
        cv = p->vectors - v >= 2 ? 2 : 1;
        copy_panel(p, (a1 - a0) * p->out_w, v, cv, dy, panel);
        weight_task t = {a1 - a0,  p->out_w, p->row_step * p->row_floats, p->out_w * cv * LANES,
                         p->out_c, false};
        accumulate_taps(p, b0, b1, v, cv, &t, strip, panel, dw);
    }
}

void SYMBOL(trit_direct_weight_unit)(void *context, int64_t unit, int worker) {
    const direct_plan *p = context;
    int64_t part = unit % p->parts, group = unit / p->parts % p->groups;
    int64_t slot = unit / p->parts / p->groups;
    float *dw = p->slots->sums + slot * p->slots->length + group * p->channels;
    int64_t b0 = tile_part(p->blocks, p->parts, part);
    int64_t b1 = tile_part(p->blocks, p->parts, part + 1);
    int64_t end = trit_conv_slot_first(p->slots, slot + 1);
    for (int64_t item = trit_conv_slot_first(p->slots, slot); item < end; item++)
        weight_item(p, item, group, b0, b1, trit_scratch(worker), dw);
}
