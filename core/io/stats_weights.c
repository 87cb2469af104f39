/*
 * stats_weights.c - all that is logged about one weight tensor and its codes, in one call each.
 */
#include <math.h>

#include "trit/stats.h"

enum { WHOLE_P_LIMIT = 5000 }; /* beyond it W has no p, and subsamples speak for it */

static trit_status normality(const float *x, int64_t n, const trit_weight_query *q,
                             trit_weight_report *out) {
    const size_t bytes = (size_t)n * sizeof(float);
    float *sorted = trit_alloc(bytes);
    if (!sorted) return trit_fail_within(TRIT_ERR_MEM, "weight_stats");
    trit_status status = trit_sort_f32(x, n, sorted);
    if (status == TRIT_OK) trit_shapiro(sorted, n, &out->shapiro);
    trit_free(sorted, bytes);
    if (status == TRIT_OK && q->subsamples > 0 && n > WHOLE_P_LIMIT && out->moments.std > 0)
        status = trit_shapiro_subsamples(x, n, q->subsamples, q->size, q->seed, &out->subsampled);
    return status;
}

trit_status trit_weight_stats(const trit_tensor *w, const trit_weight_query *q, int64_t *counts,
                              trit_weight_report *out) {
    const trit_shapiro_result none = {NAN, NAN, NAN};
    *out = (trit_weight_report){.shapiro = none, .subsampled = none};
    /* Nothing here depends on the order of elements, so a dense tensor is taken as it lies. */
    trit_tensor *flat = (trit_tensor *)w;
    if (trit_is_dense(w))
        trit_tensor_retain(flat);
    else
        TRIT_TRY(trit_tensor_clone(w, &flat));
    const int64_t n = trit_numel(flat);
    trit_status status = TRIT_OK;
    trit_moments_of(flat->data, n, &out->moments);
    if (q->bins > 0)
        status = trit_histogram(flat->data, n, q->edges, q->bins, counts, &out->outside);
    if (status == TRIT_OK && q->shapiro && n >= 3 && out->moments.nan == 0)
        status = normality(flat->data, n, q, out);
    trit_tensor_release(flat);
    return status;
}

/* ------------------------------------------------------------------------ codes */

size_t trit_code_bytes(int64_t n) { return (size_t)(n + 3) / 4; }

trit_status trit_code_stats(const trit_tensor *codes, bool have_previous, uint8_t *packed,
                            double share[3], double *flips) {
    trit_tensor *flat; /* logical order, so that a change of layout is no flip */
    TRIT_TRY(trit_tensor_as((trit_tensor *)codes, TRIT_ROW_MAJOR, &flat));
    const int64_t n = trit_numel(flat);
    const float *x = flat->data;
    int64_t count[4] = {0}, changed = 0; /* 2-bit signs: 0 below, 1 zero, 2 above; 3 unused */
    for (int64_t i = 0; i < n; i += 4) {
        const int quad = n - i < 4 ? (int)(n - i) : 4;
        unsigned byte = 0;
        for (int k = 0; k < quad; k++) {
            const unsigned sign = 1u + (x[i + k] > 0) - (x[i + k] < 0);
            count[sign]++;
            byte |= sign << (2 * k);
        }
        const unsigned differ = byte ^ packed[i / 4];
        for (int k = 0; k < quad; k++) changed += ((differ >> (2 * k)) & 3) != 0;
        packed[i / 4] = (uint8_t)byte;
    }
    for (int k = 0; k < 3; k++) share[k] = n > 0 ? (double)count[k] / (double)n : NAN;
    *flips = have_previous && n > 0 ? (double)changed / (double)n : NAN;
    trit_tensor_release(flat);
    return TRIT_OK;
}
