/*
 * linear_set.c - the list of matrix sets, and the plain one.
 */
#include "infer/linear_set.h"

#define ROWS  32
#define LANES 8

const trit_linear_set *const trit_linear_sets[] = {&trit_linear_generic, &trit_linear_avx2,
                                                   &trit_linear_vnni, NULL};

/* Row r of a block: its code of number k. */
static int32_t code_of(const uint8_t *block, int64_t r, int64_t k) {
    return block[k / 4 * ROWS + r % LANES * 4 + k % 4] >> (r / LANES * 2) & 3;
}

static void run(const trit_linear_job *j, int64_t first, int64_t end, void *scratch) {
    (void)scratch;
    for (int64_t row = first * ROWS; row < end * ROWS && row < j->rows; row++) {
        const uint8_t *block = j->packed + (size_t)(row / ROWS) * j->block_bytes;
        for (int64_t c = 0; c < j->n; c++) {
            const int8_t *q = j->q + c * j->pitch;
            int32_t sum = 0;
            for (int64_t k = 0; k < 4 * j->groups; k++)
                sum += (code_of(block, row % ROWS, k) - 1) * q[k];
            j->y[c * j->rows + row] = trit_linear_result(j, c, row, sum);
        }
    }
}

static bool always(void) { return true; }

const trit_linear_set trit_linear_generic = {.name = "generic",
                                             .block = ROWS,
                                             .lanes = LANES,
                                             .max_k = INT64_C(1) << 22, /* 127 K stays below 2^31 */
                                             .supported = always,
                                             .run = run};
