/*
 * dot_avx2.c - dot products by vpmaddubsw: u8 pixels times s8 weights, pairs added in 16 bits.
 *
 * A run of groups is expanded to signed bytes in scratch once and used for all pixels of the call;
 * tiles of 2 pixels x 32 rows keep 8 sums of 16 bits in registers, widened into acc after every
 * run.  Packed weights say how long theirs are (run_avx2.h): an int32 behind the groups.
 *
 * With one or two pixels (linear layers) expanding does not pay: codes w + 1 are masked out of the
 * packed bytes in registers, fields 1 and 3 scaled by 4, and the sum of x is taken off at the end;
 * a pair adds at most 2 x 8 x 255 = 4080, so 8 groups fit.
 */
#include "infer/avx2/run_avx2.h"
#include "infer/dot.h"

#define SURE   64  /* groups of a run that holds for any weights */
#define FEW    2   /* pixels that are not worth expanding for */
#define PIXELS 256 /* acc of a call: 32 KiB */
#define FLUSH  8   /* groups whose scaled 16-bit sums cannot overflow */
#define K_MAX  (INT64_C(1) << 22)

static void run_sums(const trit_dot_shape *s, const int8_t *w, const uint8_t *x, int64_t width,
                     int64_t height, int64_t g0, int64_t n, int32_t *acc) {
    const int32_t *offset = s->offset + g0;
    for (int64_t row = 0; row < height; row++, x += s->row_step) {
        int64_t p = 0;
        for (; p + TILE <= width; p += TILE, acc += TILE * ROWS)
            tile_2(w, x + p * s->step, s->step, offset, n, acc, g0 == 0);
        if (p < width) tile_1(w, x + p * s->step, s->step, offset, n, acc, g0 == 0);
        acc += (width - p) * ROWS;
    }
}

/* The sums of one pixel without expanding. */
static void single(const trit_dot_shape *s, const uint8_t *w, const uint8_t *x, int32_t *acc) {
    const __m256i low = _mm256_set1_epi8(3), high = _mm256_set1_epi8(12);
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i bytes = _mm256_set1_epi8(1);
    __m256i total[4], shift = _mm256_setzero_si256();
    for (int f = 0; f < 4; f++) total[f] = _mm256_setzero_si256();
    for (int64_t g = 0; g < s->groups;) {
        const int64_t end = g + FLUSH < s->groups ? g + FLUSH : s->groups;
        __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a, e = a;
        for (; g < end; g++, w += ROWS) {
            const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)w);
            const __m256i v4 = _mm256_srli_epi16(v, 4);
            const __m256i q = broadcast(x + s->offset[g]);
            _mm_prefetch((const char *)w + PREFETCH, _MM_HINT_T0);
            a = _mm256_add_epi16(a, _mm256_maddubs_epi16(q, _mm256_and_si256(v, low)));
            b = _mm256_add_epi16(b, _mm256_maddubs_epi16(q, _mm256_and_si256(v, high)));
            c = _mm256_add_epi16(c, _mm256_maddubs_epi16(q, _mm256_and_si256(v4, low)));
            d = _mm256_add_epi16(d, _mm256_maddubs_epi16(q, _mm256_and_si256(v4, high)));
            e = _mm256_add_epi16(e, _mm256_maddubs_epi16(q, bytes));
        }
        total[0] = _mm256_add_epi32(total[0], _mm256_madd_epi16(a, ones));
        total[1] = _mm256_add_epi32(total[1], _mm256_madd_epi16(b, ones));
        total[2] = _mm256_add_epi32(total[2], _mm256_madd_epi16(c, ones));
        total[3] = _mm256_add_epi32(total[3], _mm256_madd_epi16(d, ones));
        shift = _mm256_add_epi32(shift, _mm256_madd_epi16(e, ones));
    }
    total[1] = _mm256_srai_epi32(total[1], 2);
    total[3] = _mm256_srai_epi32(total[3], 2);
    for (int f = 0; f < 4; f++)
        _mm256_storeu_si256((__m256i *)(void *)(acc + f * 8), _mm256_sub_epi32(total[f], shift));
}

static void dot(const trit_dot_shape *s, const uint8_t *packed, const uint8_t *x, int64_t width,
                int64_t height, const int32_t *sums, int32_t *acc, void *scratch) {
    (void)sums;
    if (width * height <= FEW) {
        for (int64_t p = 0; p < width * height; p++)
            single(s, packed, x + p / width * s->row_step + p % width * s->step, acc + p * ROWS);
        return;
    }
    int32_t run;
    memcpy(&run, packed + s->groups * ROWS, sizeof run);
    for (int64_t g = 0; g < s->groups; g += run) {
        const int64_t n = s->groups - g < run ? s->groups - g : run;
        expand(packed + g * ROWS, n, scratch);
        run_sums(s, scratch, x, width, height, g, n, acc);
    }
}

static void pack(const trit_dot_shape *s, const int8_t *w, int64_t rows, uint8_t *packed) {
    trit_dot_pack_v8(s, w, rows, packed);
    const int32_t run = longest_run(packed, s->groups, SURE, expand, ROWS);
    memcpy(packed + s->groups * ROWS, &run, sizeof run);
}

static bool supported(void) { return trit_isa_level() >= TRIT_ISA_AVX2; }

const trit_dot_set trit_dot_avx2 = {.name = "avx2",
                                    .block = ROWS,
                                    .pixels = PIXELS,
                                    .max_k = K_MAX,
                                    .scratch = MOST_RUN * 4 * ROWS,
                                    .supported = supported,
                                    .block_bytes = ROWS,
                                    .more_bytes = sizeof(int32_t),
                                    .pack = pack,
                                    .dot = dot};
