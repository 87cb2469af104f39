/*
 * q_shared.c - weight sharing of Deep Compression (Han, Mao & Dally, ICLR 2016, arXiv:1510.00149).
 *
 *   k-means on the weights that are not 0: centroids start evenly between the least and the
 *   largest, `rounds` Lloyd rounds, then every weight takes its nearest centroid for good
 *   w' = c[index], 0 where w was 0         dL/dc_k = sum of g over the members, dL/dw = 0
 * Fine-tuning moves the centroids.  Codes are the numbers 1..k of the centroids (as signed bytes),
 * 0 where a weight is pruned.
 *
 * Edge rules: half-way between two centroids the lower is taken; a centroid without members stays.
 */
#include <math.h>
#include <string.h>

#include "quant/rows.h"

enum { CLUSTERS, ROUNDS, GRANULARITY };
enum { CENTROIDS, INDEX };

static const trit_param params[] = {
    {.name = "clusters", .def = 16, .min = 1, .max = 255, .doc = "shared values of a row"},
    {.name = "rounds", .def = 20, .min = 0, .max = 1e4, .doc = "Lloyd rounds of k-means"},
    TRIT_GRANULARITY_PARAM,
    TRIT_STE_PARAM,
    {0},
};

static const trit_learn learn[] = {
    {.name = "centroids", .doc = "shared values", .lr_scale = 1, .decay = false, .per_level = true},
    {.name = "index",
     .doc = "number of a weight's centroid, 0 = pruned",
     .per_weight = true,
     .state = true},
    {0},
};

static int levels(const trit_args *args) { return (int)args->v[CLUSTERS][0]; }

static double bits(const trit_args *args) { return ceil(log2(levels(args) + 1)); }

static int nearest(const float *centroid, int k, float w) {
    int best = 0;
    for (int i = 1; i < k; i++)
        if (fabsf(w - centroid[i]) < fabsf(w - centroid[best])) best = i;
    return best;
}

static void spread(const trit_quant_call *c, int64_t row, float *centroid) {
    const int k = levels(&c->args);
    float lo = 0, hi = 0;
    bool any = false;
    for (int64_t i = 0; i < c->rows.len; i++) {
        const float w = c->w[row * c->rows.row_stride + i * c->rows.step];
        if (w == 0) continue;
        lo = any ? fminf(lo, w) : w;
        hi = any ? fmaxf(hi, w) : w;
        any = true;
    }
    for (int i = 0; i < k; i++)
        centroid[i] =
            (float)((double)lo + ((double)hi - (double)lo) * (k > 1 ? (double)i / (k - 1) : 0.5));
}

static void lloyd(const trit_quant_call *c, int64_t row, float *centroid, double *sum) {
    const int k = levels(&c->args);
    double *count = sum + k;
    memset(sum, 0, 2 * (size_t)k * sizeof *sum);
    for (int64_t i = 0; i < c->rows.len; i++) {
        const float w = c->w[row * c->rows.row_stride + i * c->rows.step];
        if (w == 0) continue;
        const int at = nearest(centroid, k, w);
        sum[at] += (double)w;
        count[at] += 1;
    }
    for (int i = 0; i < k; i++)
        if (count[i] > 0) centroid[i] = (float)(sum[i] / count[i]);
}

static trit_status reset(const trit_quant_call *c, float *const learned[TRIT_MAX_LEARN]) {
    const int k = levels(&c->args);
    const size_t bytes = 2 * (size_t)k * sizeof(double);
    double *sum = trit_alloc(bytes);
    if (!sum) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        float *centroid = learned[CENTROIDS] + r * k;
        spread(c, r, centroid);
        for (int round = 0; round < (int)c->args.v[ROUNDS][0]; round++) lloyd(c, r, centroid, sum);
        for (int64_t i = 0; i < c->rows.len; i++) {
            const int64_t at = r * c->rows.row_stride + i * c->rows.step;
            learned[INDEX][at] = c->w[at] == 0 ? 0 : (float)(nearest(centroid, k, c->w[at]) + 1);
        }
    }
    trit_free(sum, bytes);
    return TRIT_OK;
}

static void share_body(void *context, const trit_segment *s) {
    trit_quant_call *c = context;
    const int k = levels(&c->args);
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->at + j;
        const int index = (int)c->learn[INDEX][i];
        c->codes[i] = (int8_t)(index > 127 ? index - 256 : index);
        c->wq[i] = index ? c->learn[CENTROIDS][trit_segment_row(s, j) * k + index - 1] : 0;
    }
}

static trit_status forward(trit_quant_call *c) {
    TRIT_TRY(trit_quant_survey(c));
    const int k = levels(&c->args);
    for (int64_t r = 0; r < c->rows.rows; r++) {
        float top = 0;
        for (int i = 0; i < k; i++) top = fmaxf(top, fabsf(c->learn[CENTROIDS][r * k + i]));
        c->scale[r] = c->scale_neg[r] = top;
    }
    trit_rows_each(&c->rows, share_body, c);
    return TRIT_OK;
}

static trit_status backward(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]) {
    const int k = levels(&c->args);
    if (dw && c->n > 0) memset(dw, 0, (size_t)c->n * sizeof *dw);
    if (!dlearn[CENTROIDS]) return TRIT_OK;
    const size_t bytes = (size_t)k * sizeof(double);
    double *sum = trit_alloc(bytes);
    if (!sum) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < c->rows.rows; r++) {
        memset(sum, 0, bytes);
        for (int64_t i = 0; i < c->rows.len; i++) {
            const int64_t at = r * c->rows.row_stride + i * c->rows.step;
            const int index = (int)c->learn[INDEX][at];
            if (index) sum[index - 1] += (double)g[at];
        }
        for (int i = 0; i < k; i++) dlearn[CENTROIDS][r * k + i] = (float)sum[i];
    }
    trit_free(sum, bytes);
    return TRIT_OK;
}

static double level(const trit_quant_call *c, trit_at at) {
    const int index = at.code < 0 ? at.code + 256 : at.code;
    return index ? (double)c->learn[CENTROIDS][at.row * levels(&c->args) + index - 1] : 0;
}

static double integral(const trit_quant_call *c, trit_at at, double w) {
    (void)w;
    return level(c, at);
}

static const trit_case cases[] = {
    {"[6,4,3,3]", ""}, {"[5,24]", "clusters=4,rounds=3,granularity=filter"}, {0}};

const trit_quantizer trit_quantizer_shared = {
    .name = "shared",
    .doc = "trit.quant.shared{ clusters, rounds, granularity, ste } -> quantizer\n"
           "Weights that share a few trained values, found by k-means; zeros stay zeros.\n"
           "shapes:  w [...] -> w' [...]; centroids [rows, clusters], index [...]\n"
           "eq:      w' = c[index]; dL/dc_k = sum of g over its members; dL/dw = 0\n"
           "         (Han, Mao & Dally 2016, arXiv:1510.00149)\n"
           "errors:  weights that are not finite; a ste other than own:\n"
           "         no weight that trains is rounded\n",
    .params = params,
    .unrounded = true,
    .learn = learn,
    .levels = levels,
    .bits = bits,
    .reset = reset,
    .forward = forward,
    .backward = backward,
    .integral = integral,
    .level = level,
    .cases = cases,
};
