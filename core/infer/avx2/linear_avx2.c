/*
 * linear_avx2.c - a packed matrix by vpmaddubsw, pairs added in 16 bits.
 *
 * Few vectors: codes w + 1 (u8) are masked out of the packed bytes in registers, times q
 * (s8); fields 1 and 3 are scaled by 4.  A pair adds at most 2 x 8 x 127 = 2032, so 16 groups stay
 * below 2^15; the sum of q is taken off at the end.
 *
 * More vectors: a chunk of groups is expanded to signed bytes in scratch once and used for all, u
 * (u8) times w (s8); tiles of 2 vectors x 32 rows keep 8 sums in registers.  A pair adds at most
 * 2 x 255, so 64 groups fit; 128 times the sum of w is taken off at the end.
 */
#include "infer/avx2/tile_avx2.h"
#include "infer/linear_set.h"

#define FEW    6  /* vectors that are not worth expanding for */
#define FLUSH  16 /* groups whose scaled 16-bit sums cannot overflow */
#define CHUNK  64 /* groups, expanded */
#define K_MAX  65536
#define UNROLL _Pragma("GCC unroll 4")

typedef int32_t four __attribute__((may_alias, aligned(1)));

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX2; }

/* 8 rows' results of vector c. */
INLINE void store8(const trit_linear_job *j, int64_t c, int64_t row, __m256i sum) {
    const __m256 factor =
        _mm256_mul_ps(_mm256_loadu_ps(j->scale + row), _mm256_set1_ps(j->step[c]));
    const __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), factor);
    float *y = j->y + c * j->rows + row, side[8];
    if (row + 8 <= j->rows) {
        _mm256_storeu_ps(y, v);
        return;
    }
    _mm256_storeu_ps(side, v);
    for (int64_t i = 0; row + i < j->rows; i++) y[i] = side[i];
}

INLINE __m256i widened(__m256i total, __m256i pairs) {
    return _mm256_add_epi32(total, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static void one_vector(const trit_linear_job *j, int64_t block, int64_t c) {
    const __m256i low = _mm256_set1_epi8(3), high = _mm256_set1_epi8(12);
    const uint8_t *w = j->packed + (size_t)block * j->block_bytes;
    const int8_t *q = j->q + c * j->pitch;
    const __m256i none = _mm256_setzero_si256(), sum = _mm256_set1_epi32(j->sums[c]);
    __m256i total[4] = {none, none, none, none};
    for (int64_t g = 0; g < j->groups;) {
        const int64_t end = g + FLUSH < j->groups ? g + FLUSH : j->groups;
        __m256i s0 = none, s1 = none, s2 = none, s3 = none;
        for (; g < end; g++, w += ROWS) {
            const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)w);
            const __m256i v4 = _mm256_srli_epi16(v, 4);
            const __m256i b = _mm256_set1_epi32(*(const four *)(q + 4 * g));
            _mm_prefetch((const char *)w + PREFETCH, _MM_HINT_T0);
            s0 = _mm256_add_epi16(s0, _mm256_maddubs_epi16(_mm256_and_si256(v, low), b));
            s1 = _mm256_add_epi16(s1, _mm256_maddubs_epi16(_mm256_and_si256(v, high), b));
            s2 = _mm256_add_epi16(s2, _mm256_maddubs_epi16(_mm256_and_si256(v4, low), b));
            s3 = _mm256_add_epi16(s3, _mm256_maddubs_epi16(_mm256_and_si256(v4, high), b));
        }
        total[0] = widened(total[0], s0);
        total[1] = widened(total[1], s1);
        total[2] = widened(total[2], s2);
        total[3] = widened(total[3], s3);
    }
    total[1] = _mm256_srai_epi32(total[1], 2);
    total[3] = _mm256_srai_epi32(total[3], 2);
    for (int f = 0; f < 4; f++) store8(j, c, block * ROWS + 8 * f, _mm256_sub_epi32(total[f], sum));
}

/* ------------------------------------------------------------------- more vectors */

/* `nn` vectors over one chunk of n groups; the sums go (first) or are added to acc [nn][32]. */
INLINE void tile(const int8_t *w, const uint8_t *u, int64_t pitch, int64_t n, int32_t *acc,
                 bool first, const int nn) {
    __m256i sum[TILE][4];
    UNROLL for (int i = 0; i < nn; i++) UNROLL for (int f = 0; f < 4; f++) sum[i][f] =
        _mm256_setzero_si256();
    for (int64_t g = 0; g < n; g++, w += 4 * ROWS, u += 4) {
        const fields parts = fields_at(w);
        UNROLL for (int i = 0; i < nn; i++) add_fields(sum[i], broadcast(u + i * pitch), &parts);
    }
    UNROLL for (int i = 0; i < nn; i++) UNROLL for (int f = 0; f < 4; f++) {
        __m256i *to = (__m256i *)(void *)(acc + i * ROWS + f * 8);
        const __m256i before = first ? _mm256_setzero_si256() : _mm256_loadu_si256(to);
        _mm256_storeu_si256(to, widened(before, sum[i][f]));
    }
}

static void tiles(const int8_t *w, const trit_linear_job *j, int64_t g, int64_t n, int32_t *acc) {
    const uint8_t *u = j->u + 4 * g;
    int64_t c = 0;
    for (; c + TILE <= j->n; c += TILE, acc += TILE * ROWS)
        tile(w, u + c * j->pitch, j->pitch, n, acc, g == 0, TILE);
    if (c < j->n) tile(w, u + c * j->pitch, j->pitch, n, acc, g == 0, 1);
}

static void many_vectors(const trit_linear_job *j, int64_t block, void *scratch) {
    const uint8_t *packed = j->packed + (size_t)block * j->block_bytes;
    int8_t *w = scratch;
    int32_t *acc = (int32_t *)(void *)(w + CHUNK * 4 * ROWS);
    for (int64_t g = 0; g < j->groups; g += CHUNK) {
        const int64_t n = j->groups - g < CHUNK ? j->groups - g : CHUNK;
        expand(packed + g * ROWS, n, w);
        tiles(w, j, g, n, acc);
    }
    for (int64_t f = 0; f < 4; f++) {
        const int64_t row = block * ROWS + 8 * f;
        const __m256i weight = _mm256_loadu_si256((const __m256i *)(const void *)(j->weight + row));
        const __m256i shift = _mm256_slli_epi32(weight, 7);
        for (int64_t c = 0; c < j->n; c++) {
            const int32_t *sum = acc + c * ROWS + 8 * f;
            store8(j, c, row,
                   _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(const void *)sum), shift));
        }
    }
}

static void run(const trit_linear_job *j, int64_t first, int64_t end, void *scratch) {
    for (int64_t b = first; b < end; b++) {
        if (j->n > FEW)
            many_vectors(j, b, scratch);
        else
            for (int64_t c = 0; c < j->n; c++) one_vector(j, b, c);
    }
}

const trit_linear_set trit_linear_avx2 = {.name = "avx2",
                                          .block = ROWS,
                                          .lanes = 8,
                                          .max_k = K_MAX,
                                          .scratch = CHUNK * 4 * ROWS,
                                          .supported = supported,
                                          .run = run};
