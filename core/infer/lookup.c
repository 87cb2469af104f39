/*
 * lookup.c - packing and running a matrix by lookups; see lookup.h.
 *
 * A unit of work is a band of rows: its sums are summed over all chunks of k, in order, by one
 * thread.  The order of summation depends on the instruction set (lookup_kernels.c), never on the
 * number of threads.
 */
#include <stdlib.h>
#include <string.h>

#include "infer/lookup.h"
#include "trit/infer.h"

typedef struct {
    const trit_lookup *l;
    float *y;
} job;

static int64_t portions(int64_t n, int64_t to) { return (n + to - 1) / to; }

static int64_t band_rows(const trit_lookup *l, int64_t band) {
    const int64_t left = l->rows - band * LOOKUP_BAND;
    return left < LOOKUP_BAND ? left : LOOKUP_BAND;
}

/* Dwords before a band: all earlier ones are full. */
static int64_t band_start(const trit_lookup *l, int64_t band) {
    return band * LOOKUP_BAND * 2 * l->chunks;
}

static void pack_row(trit_lookup *l, int64_t row, const int8_t *w) {
    const int64_t lanes = l->kernels->lanes, band = row / LOOKUP_BAND, in = row % LOOKUP_BAND;
    const int64_t vectors = portions(band_rows(l, band), lanes);
    uint32_t *to = l->packed + band_start(l, band) + in / lanes * 2 * lanes + in % lanes;
    for (int64_t c = 0; c < l->chunks; c++, to += vectors * 2 * lanes)
        for (int64_t d = 0; d < 2; d++)
            to[d * lanes] = l->kernels->code(w + (2 * c + d) * (l->kernels->chunk / 2));
}

static trit_status pack(trit_lookup *l, const uint8_t *codes) {
    const int64_t filled = l->chunks * l->kernels->chunk, bytes = trit_t2_bytes(l->K);
    const int64_t vectors = portions(l->rows, l->kernels->lanes);
    int8_t *w = malloc((size_t)filled);
    if (!w) return trit_fail(TRIT_ERR_MEM, "linear: out of memory");
    memset(w, 0, (size_t)filled);
    for (int64_t r = l->rows; r < vectors * l->kernels->lanes; r++) pack_row(l, r, w);
    for (int64_t r = 0; r < l->rows; r++) {
        trit_t2_unpack(codes + r * bytes, l->K, w);
        pack_row(l, r, w);
    }
    free(w);
    return TRIT_OK;
}

trit_status trit_lookup_new(trit_lookup *l, const uint8_t *codes, int64_t rows, int64_t K,
                            const float *scale, int64_t scales) {
    static const trit_lookup_kernels *const sets[] = {&trit_lookup_generic, &trit_lookup_avx2,
                                                      &trit_lookup_avx512};
    *l = (trit_lookup){.kernels = sets[trit_isa_level()], .rows = rows, .K = K};
    l->chunks = portions(K, l->kernels->chunk);
    l->packed_bytes =
        (size_t)(portions(rows, l->kernels->lanes) * l->kernels->lanes * 2 * l->chunks) *
        sizeof *l->packed;
    l->packed = trit_alloc(l->packed_bytes);
    l->scale = trit_alloc((size_t)rows * sizeof *l->scale);
    l->x = trit_alloc((size_t)(l->chunks * l->kernels->chunk) * sizeof *l->x);
    if (!l->packed || !l->scale || !l->x) return TRIT_ERR_MEM;
    for (int64_t r = 0; r < rows; r++) l->scale[r] = scale[scales > 1 ? r : 0];
    memset(l->x, 0, (size_t)(l->chunks * l->kernels->chunk) * sizeof *l->x);
    return pack(l, codes);
}

void trit_lookup_close(trit_lookup *l) {
    if (!l->kernels) return;
    trit_free(l->packed, l->packed_bytes);
    trit_free(l->scale, (size_t)l->rows * sizeof *l->scale);
    trit_free(l->x, (size_t)(l->chunks * l->kernels->chunk) * sizeof *l->x);
}

static void run_band(void *context, int64_t band, int worker) {
    const job *j = context;
    const trit_lookup *l = j->l;
    const int64_t rows = band_rows(l, band), first = band * LOOKUP_BAND;
    float *sums = trit_scratch(worker);
    l->kernels->band(l->chunks, portions(rows, l->kernels->lanes), l->packed + band_start(l, band),
                     l->x, sums);
    for (int64_t r = 0; r < rows; r++) j->y[first + r] = sums[r] * l->scale[first + r];
}

trit_status trit_lookup_run(trit_lookup *l, int64_t n, const float *x, float *y) {
    TRIT_TRY(trit_scratch_reserve(LOOKUP_BAND * sizeof(float)));
    for (int64_t i = 0; i < n; i++) {
        memcpy(l->x, x + i * l->K, (size_t)l->K * sizeof *x);
        trit_parallel(portions(l->rows, LOOKUP_BAND), run_band, &(job){l, y + i * l->rows});
    }
    return TRIT_OK;
}
