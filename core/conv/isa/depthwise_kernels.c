/*
 * depthwise_kernels.c - depthwise convolution (G = C = K), any kernel, stride, padding, dilation.
 *
 *   y[n,p,q,c] = sum_{r,s} x[n, p*stride_h - pad_h + r*dil_h, q*..., c] w[r,s,c]
 *
 * Every operand is a run of C channels, so one vector of channels is carried along a row and all
 * taps are summed in a register.  The pass is bound by memory, not by arithmetic.
 */
#include "conv/depthwise.h"

#include "conv/isa/vec.h"

/* A row being produced: out[j][c] = sum over taps of from(tap, j)[c] * w[tap][c], where from() is
 * a row pointer and a column; `back` selects the transposed walk. */
typedef struct {
    const trit_conv_geom *g;
    const float *image; /* x[n] or dy[n]                  */
    const float *w;     /* [R,S,C]                        */
    int64_t row;        /* p, or h when back              */
    bool back;
} row_walk;

/* Source position for output position `at` through tap `tap`; -1 outside. */
INLINE int64_t source(bool back, int64_t at, int64_t tap, int64_t stride, int64_t pad, int64_t dil,
                      int64_t size) {
    int64_t t = back ? at + pad - tap * dil : at * stride - pad + tap * dil;
    if (t < 0) return -1;
    if (!back) return t < size ? t : -1;
    return t % stride == 0 && t / stride < size ? t / stride : -1;
}

/* The source row of kernel row r, or NULL outside the image. */
INLINE const float *source_row(const row_walk *k, int64_t r) {
    const trit_conv_geom *g = k->g;
    int64_t size = k->back ? g->P : g->H, width = k->back ? g->Q : g->W;
    int64_t h = source(k->back, k->row, r, g->stride_h, g->pad_h, g->dil_h, size);
    return h < 0 ? 0 : k->image + h * width * g->C;
}

INLINE int64_t source_column(const row_walk *k, int64_t j, int64_t s) {
    const trit_conv_geom *g = k->g;
    return source(k->back, j, s, g->stride_w, g->pad_w, g->dil_w, k->back ? g->Q : g->W);
}

INLINE void produce_vector(const row_walk *k, int64_t j, int64_t c, float *out) {
    const trit_conv_geom *g = k->g;
    vec sum = {0};
    for (int64_t r = 0; r < g->R; r++) {
        const float *row = source_row(k, r);
        for (int64_t s = 0; row && s < g->S; s++) {
            int64_t v = source_column(k, j, s);
            if (v >= 0) sum += load(row + v * g->C + c) * load(k->w + (r * g->S + s) * g->C + c);
        }
    }
    store(out + c, sum);
}

INLINE void produce_scalar(const row_walk *k, int64_t j, int64_t c, float *out) {
    const trit_conv_geom *g = k->g;
    float sum = 0.0f;
    for (int64_t r = 0; r < g->R; r++) {
        const float *row = source_row(k, r);
        for (int64_t s = 0; row && s < g->S; s++) {
            int64_t v = source_column(k, j, s);
            if (v >= 0) sum += row[v * g->C + c] * k->w[(r * g->S + s) * g->C + c];
        }
    }
    out[c] = sum;
}

INLINE void produce_row(const row_walk *k, int64_t width, float *out) {
    int64_t C = k->g->C;
    for (int64_t j = 0; j < width; j++, out += C) {
        int64_t c = 0;
        for (; c + LANES <= C; c += LANES) produce_vector(k, j, c, out);
        for (; c < C; c++) produce_scalar(k, j, c, out);
    }
}

static void forward_row(void *context, int64_t unit, int worker) {
    (void)worker;
    const depthwise_job *job = context;
    const trit_conv_geom *g = job->g;
    int64_t n = unit / g->P;
    row_walk k = {g, job->x + n * g->H * g->W * g->C, job->w, unit % g->P, false};
    produce_row(&k, g->Q, job->out + unit * g->Q * g->C);
}

static void data_row(void *context, int64_t unit, int worker) {
    (void)worker;
    const depthwise_job *job = context;
    const trit_conv_geom *g = job->g;
    int64_t n = unit / g->H;
    row_walk k = {g, job->dy + n * g->P * g->Q * g->C, job->w, unit % g->H, true};
    produce_row(&k, g->W, job->out + unit * g->W * g->C);
}

/* sums[c] += sum over j of x[(j*stride + shift)][c] dy[j][c], j in [first, last) */
static void correlate(const float *x, int64_t step, const float *dy, int64_t count, int64_t C,
                      float *sums) {
    int64_t c = 0;
    for (; c + LANES <= C; c += LANES) {
        vec sum = {0};
        for (int64_t j = 0; j < count; j++) sum += load(x + j * step + c) * load(dy + j * C + c);
        store(sums + c, load(sums + c) + sum);
    }
    for (; c < C; c++) {
        float sum = 0.0f;
        for (int64_t j = 0; j < count; j++) sum += x[j * step + c] * dy[j * C + c];
        sums[c] += sum;
    }
}

/* One output row's part of every tap. */
static void weight_row(const depthwise_job *job, int64_t item, float *sums) {
    const trit_conv_geom *g = job->g;
    int64_t n = item / g->P, p = item % g->P;
    const float *dy = job->dy + item * g->Q * g->C;
    for (int64_t r = 0; r < g->R; r++) {
        int64_t h = p * g->stride_h - g->pad_h + r * g->dil_h;
        if (h < 0 || h >= g->H) continue;
        const float *row = job->x + (n * g->H + h) * g->W * g->C;
        for (int64_t s = 0; s < g->S; s++) {
            int64_t shift = s * g->dil_w - g->pad_w, first = 0, last = g->Q;
            while (first < last && first * g->stride_w + shift < 0) first++;
            while (last > first && (last - 1) * g->stride_w + shift >= g->W) last--;
            correlate(row + (first * g->stride_w + shift) * g->C, g->stride_w * g->C,
                      dy + first * g->C, last - first, g->C, sums + (r * g->S + s) * g->C);
        }
    }
}

static void weight_slot(void *context, int64_t unit, int worker) {
    (void)worker;
    const depthwise_job *job = context;
    int64_t end = trit_conv_slot_first(job->slots, unit + 1);
    for (int64_t item = trit_conv_slot_first(job->slots, unit); item < end; item++)
        weight_row(job, item, job->slots->sums + unit * job->slots->length);
}

const depthwise_kernels SYMBOL(trit_depthwise) = {forward_row, data_row, weight_slot};
