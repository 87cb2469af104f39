/*
 * fuzz_model.c - libFuzzer target: bytes -> model -> runners, encoder and back.
 *
 * Bytes are taken as they are, then once more with size and checksum put right, so that mutations
 * reach what lies behind them.  A model that is accepted and small enough runs on both engines with
 * every instruction set here; integer results must have the same bits on all of them, and a model
 * encoded again must compute the same.  lua/test_fuzz.lua makes the corpus and runs this.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "infer/format.h"

#define MAX_WORK    3e5 /* multiply-adds of an image: thousands of inputs are tried a minute */
#define MAX_NUMBERS 1e5 /* of all values with their padding */
#define MAX_CLASSES 64
#define IMAGES      3

static long long inputs, accepted, ran;

static void summary(void) {
    fprintf(stderr, "fuzz_model: %lld inputs, %lld models, %lld run\n", inputs, accepted, ran);
}

/* What must never be: say it and stop where the fuzzer keeps the input. */
static void must(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_model: %s: %s\n", what, trit_last_error());
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    must(trit_init() == TRIT_OK && trit_set_threads(1) == TRIT_OK, "start");
    atexit(summary);
    return 0;
}

/* Quick enough to run? */
static bool is_small(const trit_graph *g) {
    double work = 0, numbers = (double)g->C * (double)g->H * (double)g->W;
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i];
        const double depth = d->kind == TRIT_NODE_CONV ? (double)row_length(d) * (d->planes + 1)
                                                       : (double)(d->R * d->S);
        const double frame_h = (double)(d->H + 2 * d->pad_h),
                     frame_w = (double)(d->W + 2 * d->pad_w);
        work += (double)(d->K * d->P * d->Q) * (depth + 1);
        numbers += (double)(d->K * d->P * d->Q) + frame_h * frame_w * (double)d->C;
    }
    return work <= MAX_WORK && numbers <= MAX_NUMBERS && g->classes <= MAX_CLASSES;
}

static bool has_float_convolution(const trit_graph *g) {
    for (int64_t i = 0; i < g->n; i++)
        if (g->nodes[i].kind == TRIT_NODE_CONV && g->nodes[i].weight == TRIT_WEIGHT_FLOAT)
            return true;
    return false;
}

/* y [IMAGES][classes]; false where the model lacks what `bits` need. */
static bool run(trit_model *m, trit_isa level, int bits, const float *x, float *y) {
    trit_runner *r = NULL;
    must(trit_isa_force(level) == TRIT_OK, "instruction set");
    const trit_runner_options o = {.bits = bits, .batch = 2};
    if (trit_runner_new(m, &o, &r) != TRIT_OK) return false;
    must(trit_runner_run(r, IMAGES, x, y) == TRIT_OK, "run");
    trit_runner_close(r);
    return true;
}

static bool same(const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

static void run_everywhere(trit_model *m, int bits, const float *x) {
    const trit_graph *g = trit_model_graph(m);
    float first[IMAGES * MAX_CLASSES], y[IMAGES * MAX_CLASSES];
    trit_guess top;
    bool seen = false;
    for (int level = TRIT_ISA_GENERIC; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        if (!run(m, (trit_isa)level, bits, x, y)) return;
        ran++;
        if (seen && bits && !has_float_convolution(g))
            must(same(first, y, IMAGES * g->classes), "other bits on another instruction set");
        memcpy(first, y, sizeof y);
        seen = true;
        trit_guess_top(m, y, 1, &top);
        must(top.class >= 0 && top.class < g->classes, "guess");
    }
}

/* The graph written again, in 2 bits or in base 3, computes the same. */
static void write_again(trit_model *m, bool archive, const float *x) {
    trit_graph g = *trit_model_graph(m);
    trit_model *again = NULL;
    float a[IMAGES * MAX_CLASSES], b[IMAGES * MAX_CLASSES];
    g.nodes = malloc((size_t)g.n * sizeof *g.nodes);
    must(g.nodes != NULL, "memory");
    memcpy(g.nodes, trit_model_graph(m)->nodes, (size_t)g.n * sizeof *g.nodes);
    must(trit_model_encode(&g, archive, &again) == TRIT_OK, "encode");
    free(g.nodes);
    if (run(m, TRIT_ISA_GENERIC, 0, x, a)) {
        must(run(again, TRIT_ISA_GENERIC, 0, x, b), "run what was encoded");
        must(same(a, b, IMAGES * g.classes), "the encoded model computes something else");
    }
    trit_model_close(again);
}

static void use(const uint8_t *bytes, size_t n, uint64_t seed) {
    trit_model *m = NULL;
    if (trit_model_parse(bytes, n, "input", &m) != TRIT_OK) {
        must(m == NULL && strlen(trit_last_error()) > 7, "refused without a sentence");
        return;
    }
    accepted++;
    const trit_graph *g = trit_model_graph(m);
    if (is_small(g)) {
        const int64_t count = IMAGES * g->C * g->H * g->W;
        float *x = malloc((size_t)count * sizeof *x);
        must(x != NULL, "memory");
        trit_rng_fill_normal(seed, TRIT_STREAM_USER, 0.0f, 1.0f, x, count);
        run_everywhere(m, 0, x);
        run_everywhere(m, 6 + (int)(seed % 3), x);
        write_again(m, seed & 4, x);
        free(x);
    }
    trit_model_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const uint64_t seed = XXH3_64bits(data, n);
    inputs++;
    use(data, n, seed);
    if (n < HEADER_BYTES) return 0;
    uint8_t *fixed = malloc(n);
    must(fixed != NULL, "memory");
    memcpy(fixed, data, n);
    memcpy(fixed, trit_file_magic, sizeof trit_file_magic);
    put32(fixed + AT_VERSION, TRIT_FILE_VERSION);
    put64(fixed + AT_BYTES, n);
    put64(fixed + AT_HASH, XXH3_64bits(fixed + HASHED_FROM, n - HASHED_FROM));
    if (memcmp(fixed, data, n)) use(fixed, n, seed);
    free(fixed);
    return 0;
}
