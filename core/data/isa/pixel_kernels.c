/*
 * pixel_kernels.c - resampling and normalizing 8-bit pixels; see pixels.def.
 *
 * RGB rows are shrunk LANES / 4 at a time: a vector holds one pixel of each row, its three channels
 * and an idle lane.  So a weight is one multiplication for all rows, and no lane has to be moved.
 * A pixel's three bytes become lanes without shuffling: its word is copied to all four lanes, each
 * keeps its own byte where it stands, 256 or 65536 times too large, and the sums are scaled back
 * at the end.  Powers of two do not round.
 */
#include <string.h>

#include "data/pixels.h"

#define PASTE_(name, suffix) trit_p_##name##_##suffix
#define PASTE(name, suffix)  PASTE_(name, suffix)
#define PIXELS(name)         PASTE(name, TRIT_ISA_SUFFIX)
#define INLINE               static inline __attribute__((always_inline))

#define P(name, parameters) void PIXELS(name) parameters;
#include "data/isa/pixels.def"
#undef P

#define LANES TRIT_LANES
#define ROWS  (LANES / 4) /* rows side by side */
#define SUMS  6           /* vectors of sums that stay in registers; 672 = 7 * 6 * 16 */
#define BLOCK (SUMS * LANES)

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef float vfu __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef float quad __attribute__((vector_size(16)));
typedef float quad_u __attribute__((vector_size(16), aligned(4), may_alias));

/* The bytes of a word that the lanes of row r keep. */
INLINE void fill_keep(vi keep[ROWS]) {
    for (int r = 0; r < ROWS; r++)
        for (int l = 0; l < LANES; l++)
            keep[r][l] = l / 4 == r && l % 4 < 3 ? 0xff << (8 * (l % 4)) : 0;
}

/* One pixel of each row; `bytes` of a word may be read. */
INLINE vf pixel(const vi keep[ROWS], const uint8_t *const row[ROWS], size_t at, size_t bytes) {
    vi lanes = {0};
    for (int r = 0; r < ROWS; r++) {
        int32_t word = 0;
        memcpy(&word, row[r] + at, bytes);
        lanes |= keep[r] & word;
    }
    return __builtin_convertvector(lanes, vf);
}

/* The columns first .. end - 1 and `more` of zeros; behind the last there need not be a byte. */
INLINE void widen(const uint8_t *const row[ROWS], int first, int end, int more, float *wide) {
    vi keep[ROWS];
    fill_keep(keep);
    for (int x = first; x < end - 1; x++, wide += LANES)
        *(vfu *)wide = pixel(keep, row, 3 * (size_t)x, 4);
    *(vfu *)wide = pixel(keep, row, 3 * (size_t)(end - 1), 3);
    for (int i = 1; i <= more; i++) *(vfu *)(wide + i * LANES) = (vf){0};
}

/* All outputs take `reach` pixels, zero weights included: a branch that never surprises. */
INLINE void shrink(const trit_taps *taps, int n, int reach, const float *wide,
                   float *const to[ROWS]) {
    const int first = taps[0].first;
    vf back;
    for (int l = 0; l < LANES; l++) back[l] = l % 4 == 0 ? 1.0f : l % 4 == 1 ? 0x1p-8f : 0x1p-16f;
    for (int o = 0; o < n; o++) {
        const float *w = taps[o].weight, *p = wide + (size_t)(taps[o].first - first) * LANES;
        vf sum = {0};
        for (int i = 0; i < reach; i++, p += LANES) sum += w[i] * *(const vfu *)p;
        sum *= back;
        for (int r = 0; r < ROWS; r++) { /* the idle number goes under the next pixel */
            quad part;
            memcpy(&part, (const char *)&sum + 16 * r, sizeof part);
            *(quad_u *)(to[r] + 3 * o) = part;
        }
    }
}

void PIXELS(shrink_rgb)(const trit_taps *taps, int n, int reach, int rows, const uint8_t *px,
                        size_t pitch, float *wide, float *out, size_t out_pitch) {
    const int first = taps[0].first, end = taps[n - 1].first + taps[n - 1].n;
    for (int y = 0; y < rows; y += ROWS) {
        const uint8_t *row[ROWS];
        float *to[ROWS];
        for (int r = 0; r < ROWS; r++) { /* behind the last row stands the last once more */
            const size_t at = (size_t)(y + r < rows ? y + r : rows - 1);
            row[r] = px + at * pitch;
            to[r] = out + at * out_pitch;
        }
        widen(row, first, end, reach, wide);
        shrink(taps, n, reach, wide, to);
    }
}

void PIXELS(blend)(int64_t n, int taps, const float *weight, const float *const *rows,
                   uint8_t *px) {
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        vf sum[SUMS];
        float whole[BLOCK];
        for (int s = 0; s < SUMS; s++) sum[s] = (vf){0} + 0.5f; /* rounds the cast below */
        for (int k = 0; k < taps; k++)
            for (int s = 0; s < SUMS; s++)
                sum[s] += weight[k] * *(const vfu *)(rows[k] + i + s * LANES);
        memcpy(whole, sum, sizeof whole);
        for (int l = 0; l < BLOCK; l++)
            px[i + l] = (uint8_t)(int)(whole[l] > 255.0f ? 255.0f : whole[l]);
    }
    for (; i < n; i++) {
        float sum = 0.5f;
        for (int k = 0; k < taps; k++) sum += weight[k] * rows[k][i];
        px[i] = (uint8_t)(int)(sum > 255.0f ? 255.0f : sum);
    }
}

void PIXELS(normalize)(int64_t n, const double *scale, const double *shift, const uint8_t *px,
                       float *out) {
    int64_t first = 0;
    for (; first + TRIT_PIXEL_PERIOD <= n; first += TRIT_PIXEL_PERIOD)
        for (int i = 0; i < TRIT_PIXEL_PERIOD; i++)
            out[first + i] = (float)((double)px[first + i] * scale[i] + shift[i]);
    for (int i = 0; first + i < n; i++)
        out[first + i] = (float)((double)px[first + i] * scale[i] + shift[i]);
}
