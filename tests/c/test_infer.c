/* Packed models: the codes, the file (written, read, damaged in every way), plans of memory, and
 * the exact path against a plain execution in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "infer/runner.h"
#include "infer_graphs.h"

enum { MUTATIONS = 20000, FLIPS = 300 };

static test_graph tg; /* too large for the stack */

enum { U8_IMAGES = 3, U8_MOST = 3 * 40 * 40 };
static float u8_x[U8_IMAGES * U8_MOST];

static void codes_go_round(void **state) {
    (void)state;
    int8_t in[64], out[64];
    uint8_t packed[32];
    for (int n = 1; n <= 40; n++) {
        for (int i = 0; i < n; i++)
            in[i] =
                (int8_t)(trit_rng_uniform(3, TRIT_STREAM_USER, (uint64_t)i, (uint32_t)n) * 3) - 1;
        trit_t2_pack(in, n, packed);
        assert_int_equal(trit_t2_bad(packed, n), -1);
        trit_t2_unpack(packed, n, out);
        assert_memory_equal(in, out, (size_t)n);
        trit_t5_pack(in, n, packed);
        assert_int_equal(trit_t5_bad(packed, n), -1);
        trit_t5_unpack(packed, n, out);
        assert_memory_equal(in, out, (size_t)n);
    }
}

/* The bytes themselves: the format is a promise. */
static void bytes_are_as_documented(void **state) {
    (void)state;
    const int8_t codes[6] = {-1, 0, 1, 1, 0, -1};
    uint8_t b[2];
    trit_t2_pack(codes, 6, b);
    assert_int_equal(b[0], 0 | 1 << 2 | 2 << 4 | 2 << 6);
    assert_int_equal(b[1], 1 | 0 << 2 | 1 << 4 | 1 << 6);
    trit_t5_pack(codes, 6, b);
    assert_int_equal(b[0], 0 + 3 * 1 + 9 * 2 + 27 * 2 + 81 * 1);
    assert_int_equal(b[1], 0 + 3 * 1 + 9 * 1 + 27 * 1 + 81 * 1);
}

static void bad_codes_are_seen(void **state) {
    (void)state;
    uint8_t b[2] = {0x55, 0x55};
    b[0] = 0x55 | 2 << 2; /* 01 | 10 = 3 */
    assert_int_equal(trit_t2_bad(b, 8), 0);
    b[0] = 0x55;
    b[1] = 0x65; /* filling is 2 */
    assert_int_equal(trit_t2_bad(b, 6), 1);
    b[0] = 243;
    assert_int_equal(trit_t5_bad(b, 5), 0);
    b[0] = 121, b[1] = 0; /* filling is 0 */
    assert_int_equal(trit_t5_bad(b, 6), 1);
}

static trit_model *model_of(test_graph *t, bool archive) {
    trit_model *m = NULL;
    if (trit_model_encode(&t->g, archive, &m) != TRIT_OK) fail_msg("%s", trit_last_error());
    return m;
}

static void images(float *x, int64_t n, uint64_t seed) {
    trit_rng_fill_normal(seed, TRIT_STREAM_USER, 0.0f, 1.0f, x, n);
}

static void check_run(test_graph *t, bool archive, int64_t batch) {
    enum { IMAGES = 5, MOST = 3 * 40 * 40 };
    static float x[IMAGES * MOST];
    float y[IMAGES * 7];
    double want[7];
    trit_model *m = model_of(t, archive);
    trit_runner *r = NULL;
    const int64_t in = t->g.C * t->g.H * t->g.W;
    images(x, IMAGES * in, 11);
    if (trit_runner_new(m, &(trit_runner_options){.batch = batch}, &r) != TRIT_OK)
        fail_msg("%s", trit_last_error());
    assert_int_equal(trit_runner_run(r, IMAGES, x, y), TRIT_OK);
    for (int i = 0; i < IMAGES; i++) {
        reference_run(&t->g, x + i * in, want, false);
        double largest = 0;
        for (int c = 0; c < 7; c++) largest = fmax(largest, fabs(want[c]));
        for (int c = 0; c < 7; c++)
            if (!(fabs(y[i * 7 + c] - want[c]) <= 1e-5 * largest))
                fail_msg("image %d, class %d: %g, expected %g", i, c, (double)y[i * 7 + c],
                         want[c]);
    }
    trit_runner_close(r);
    trit_model_close(m);
}

static void exact_path_computes_the_graph(void **state) {
    (void)state;
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int batch = 1; batch <= 6; batch += 2) {
            residual_graph(&tg, 1, 16, 19);
            check_run(&tg, batch == 3, batch);
            free_graph(&tg);
            residual_graph(&tg, 2, 5, 12);
            check_run(&tg, false, batch);
            free_graph(&tg);
            odd_graph(&tg, 3, false);
            check_run(&tg, batch == 1, batch);
            free_graph(&tg);
        }
    }
}

/* Images too large to go together, shared between threads once the runner is warm. */
static void threads_give_the_same_bits(void **state) {
    (void)state;
    enum { IMAGES = 5, SIDE = 40 };
    static float x[IMAGES * 3 * SIDE * SIDE];
    float want[IMAGES * 7], y[IMAGES * 7];
    residual_graph(&tg, 9, 64, SIDE);
    images(x, IMAGES * 3 * SIDE * SIDE, 12);
    trit_model *m = model_of(&tg, false);
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int threads = 1; threads <= 3; threads++) {
            trit_runner *r = NULL;
            assert_int_equal(trit_set_threads(threads), TRIT_OK);
            assert_int_equal(trit_runner_new(m, &(trit_runner_options){.batch = IMAGES}, &r),
                             TRIT_OK);
            for (int turn = 0; turn < 3; turn++) {
                memset(y, 0xff, sizeof y);
                if (turn == 2) assert_int_equal(trit_set_threads(2), TRIT_OK);
                assert_int_equal(trit_runner_run(r, IMAGES, x, y), TRIT_OK);
                if (threads == 1 && turn == 0) memcpy(want, y, sizeof y);
                if (memcmp(y, want, sizeof y))
                    fail_msg("%s, %d threads, turn %d: other bits", trit_isa_name((trit_isa)level),
                             threads, turn);
            }
            trit_runner_close(r);
        }
    }
    assert_int_equal(trit_set_threads(2), TRIT_OK);
    trit_model_close(m);
    free_graph(&tg);
}

/* -------------------------------------------------------- integer activations */

/* Every level and batch gives the same bits; nothing is allocated while running; the results are
 * the reference's within what `bits` bits allow. */
static void check_u8(test_graph *t, int bits, double allowed) {
    float first[U8_IMAGES * 7], y[U8_IMAGES * 7];
    double want[U8_IMAGES][7], largest = 0;
    const int64_t in = t->g.C * t->g.H * t->g.W;
    images(u8_x, U8_IMAGES * in, 21);
    for (int i = 0; i < U8_IMAGES; i++) {
        reference_run(&t->g, u8_x + i * in, want[i], true);
        for (int c = 0; c < 7; c++) largest = fmax(largest, fabs(want[i][c]));
    }
    trit_model *m = model_of(t, false);
    bool seen = false;
    for (int level = 0; level <= TRIT_ISA_AVX512; level++) {
        if (trit_isa_force((trit_isa)level) != TRIT_OK) continue;
        for (int64_t batch = 1; batch <= 2; batch++) {
            trit_runner *r = NULL;
            const trit_runner_options o = {.bits = bits, .batch = batch};
            if (trit_runner_new(m, &o, &r) != TRIT_OK) fail_msg("%s", trit_last_error());
            memset(r->arena, 0xee, r->arena_bytes); /* frames are filled by every run */
            trit_mem_fail_after(0);
            assert_int_equal(trit_runner_run(r, U8_IMAGES, u8_x, y), TRIT_OK);
            trit_mem_fail_after(-1);
            if (!seen) memcpy(first, y, sizeof y);
            if (memcmp(first, y, sizeof y))
                fail_msg("%s, batch %d: other bits than generic", r->kernels, (int)batch);
            seen = true;
            trit_runner_close(r);
        }
    }
    for (int i = 0; i < U8_IMAGES; i++)
        for (int c = 0; c < 7; c++)
            if (!(fabs(first[i * 7 + c] - want[i][c]) <= allowed * largest))
                fail_msg("%d bits, image %d, class %d: %g, expected %g of at most %g", bits, i, c,
                         (double)first[i * 7 + c], want[i][c], largest);
    trit_model_close(m);
    free_graph(t);
}

static void integer_path_is_the_same_everywhere(void **state) {
    (void)state;
    for (int bits = 8; bits >= 6; bits--) {
        const double allowed = 0.04 * (1 << (8 - bits)); /* a few steps of the last layers */
        residual_graph(&tg, 1, 16, 19);
        check_u8(&tg, bits, allowed);
        residual_graph(&tg, 2, 5, 12);
        check_u8(&tg, bits, allowed);
        residual_graph(&tg, 4, 40, 23);
        check_u8(&tg, bits, allowed);
        residual_graph(&tg, 6, 40, 21); /* odd widths of whole pairs */
        check_u8(&tg, bits, allowed);
        odd_graph(&tg, 3, true);
        check_u8(&tg, bits, allowed);
    }
}

/* Float layers between integer ones: close, but as exact as float convolutions are. */
static void integer_path_takes_float_layers(void **state) {
    (void)state;
    float y[7];
    double want[7], largest = 0;
    odd_graph(&tg, 3, false);
    images(u8_x, tg.g.C * tg.g.H * tg.g.W, 5);
    reference_run(&tg.g, u8_x, want, true);
    trit_model *m = model_of(&tg, false);
    trit_runner *r = NULL;
    assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = 8}, &r), TRIT_OK);
    assert_int_equal(trit_runner_run(r, 1, u8_x, y), TRIT_OK);
    for (int c = 0; c < 7; c++) largest = fmax(largest, fabs(want[c]));
    for (int c = 0; c < 7; c++) assert_true(fabs(y[c] - want[c]) <= 0.04 * largest);
    trit_runner_close(r);
    trit_model_close(m);
    free_graph(&tg);
}

static void integers_need_calibration(void **state) {
    (void)state;
    residual_graph(&tg, 1, 8, 12);
    trit_model *m = model_of(&tg, false), *calibrated = NULL;
    trit_runner *r = NULL;
    assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = 8}, &r), TRIT_ERR_STATE);
    assert_non_null(strstr(trit_last_error(), "calibrated"));
    assert_int_equal(trit_runner_new(m, &(trit_runner_options){.bits = 5}, &r), TRIT_ERR_ARG);
    assert_int_equal(trit_runner_new(m, NULL, &r), TRIT_OK);
    assert_int_equal(trit_model_calibrated(r, false, &calibrated), TRIT_ERR_STATE);
    assert_int_equal(trit_runner_observe(r), TRIT_OK);
    images(u8_x, 2 * 3 * 12 * 12, 4);
    float y[14];
    double want[7];
    assert_int_equal(trit_runner_run(r, 2, u8_x, y), TRIT_OK);
    for (int i = 0; i < 2; i++) reference_run(&tg.g, u8_x + i * 3 * 12 * 12, want, true);
    assert_int_equal(trit_model_calibrated(r, false, &calibrated), TRIT_OK);
    const trit_graph *g = trit_model_graph(calibrated);
    for (int64_t i = 0; i < g->n; i++) {
        const float span = tg.nodes[i].greatest - tg.nodes[i].least;
        assert_true(fabsf(g->nodes[i].least - tg.nodes[i].least) <= 1e-4f * span);
        assert_true(fabsf(g->nodes[i].greatest - tg.nodes[i].greatest) <= 1e-4f * span);
    }
    trit_runner_close(r);
    trit_model_close(calibrated);
    trit_model_close(m);
    free_graph(&tg);
}

static void file_goes_round(void **state) {
    (void)state;
    residual_graph(&tg, 5, 12, 15);
    trit_model *m = model_of(&tg, false), *a = model_of(&tg, true), *back = NULL;
    char path[] = "/tmp/trit-model-XXXXXX";
    close(mkstemp(path));
    assert_true(trit_model_bytes(a) < trit_model_bytes(m));
    assert_int_equal(trit_model_save(m, path), TRIT_OK);
    assert_int_equal(trit_model_open(path, &back), TRIT_OK);
    assert_int_equal(back->n, m->n);
    assert_memory_equal(back->bytes, m->bytes, m->n);
    const trit_graph *g = trit_model_graph(back), *h = trit_model_graph(a);
    assert_int_equal(g->n, tg.g.n);
    assert_string_equal(g->class_names[6], "g");
    for (int64_t i = 0; i < g->n; i++) {
        const trit_node *d = &g->nodes[i], *e = &h->nodes[i];
        if (!d->codes) continue;
        const size_t bytes = (size_t)(d->planes * d->K * trit_t2_bytes(row_length(d)));
        assert_memory_equal(d->codes, tg.codes[i], bytes);
        assert_memory_equal(e->codes, tg.codes[i], bytes);
        assert_memory_equal(d->bias, tg.nodes[i].bias, (size_t)d->K * sizeof(float));
    }
    trit_model_close(back);
    trit_model_close(a);
    trit_model_close(m);
    unlink(path);
    free_graph(&tg);
}

static void refuse(const uint8_t *b, size_t n, const char *why) {
    trit_model *m = NULL;
    if (trit_model_parse(b, n, "x.trit", &m) == TRIT_OK) fail_msg("accepted: %s", why);
    assert_null(m);
    if (strncmp(trit_last_error(), "x.trit: ", 8) || !strstr(trit_last_error(), why))
        fail_msg("said \"%s\", expected \"%s\"", trit_last_error(), why);
}

static void rehash(uint8_t *b, size_t n) {
    put64(b + AT_BYTES, n);
    put64(b + AT_HASH, XXH3_64bits(b + HASHED_FROM, n - HASHED_FROM));
}

/* One 32-bit field changed, the checksum made right again. */
static void refuse_field(const trit_model *m, size_t at, uint32_t value, const char *why) {
    uint8_t *b = malloc(m->n);
    memcpy(b, m->bytes, m->n);
    put32(b + at, value);
    rehash(b, m->n);
    refuse(b, m->n, why);
    free(b);
}

static void damage_is_refused(void **state) {
    (void)state;
    residual_graph(&tg, 6, 8, 12);
    trit_model *m = model_of(&tg, false);
    uint8_t *b = malloc(m->n + 1);
    memcpy(b, m->bytes, m->n);
    b[m->n] = 0;
    refuse(b, m->n + 1, "something was appended");
    refuse(b, 0, "not a packed model");
    refuse(b, 100, "cut off");
    refuse(b, m->n - 1, "cut off");
    b[8] = 2;
    refuse(b, m->n, "format version 2");
    b[8] = 1;
    b[3] ^= 1;
    refuse(b, m->n, "not a packed model");
    b[3] ^= 1;
    for (size_t i = 0; i < FLIPS; i++) { /* every byte is covered by a rule or the checksum */
        const size_t at = i * (m->n - 1) / (FLIPS - 1);
        b[at] ^= (uint8_t)(1 << i % 8);
        trit_model *x = NULL;
        if (trit_model_parse(b, m->n, "x.trit", &x) == TRIT_OK) fail_msg("byte %zu", at);
        b[at] ^= (uint8_t)(1 << i % 8);
    }
    const size_t node = HEADER_BYTES + NODE_BYTES, none = 0xffffffff;
    refuse_field(m, AT_NODES, 1 << 30, "do not fit");
    refuse_field(m, AT_NODES, 0, "do not fit");
    refuse_field(m, AT_INPUT + 4, 1 << 20, "an input of");
    refuse_field(m, AT_CLASSES, (uint32_t)none, "classes");
    refuse_field(m, AT_STD, 0, "std");
    refuse_field(m, AT_STD, 0x7fc00000, "std"); /* NaN */
    refuse_field(m, AT_STRINGS, (uint32_t)none, "strings");
    refuse_field(m, AT_STRING_BYTES, (uint32_t)none, "strings");
    refuse_field(m, AT_ZERO, 1, "is not 0");
    refuse_field(m, node + N_A, 2, "made later");
    refuse_field(m, node + N_B, 2, "made later");
    refuse_field(m, node + N_K, 0, "channels");
    refuse_field(m, node + N_K, 1 << 30, "channels");
    refuse_field(m, node + N_WINDOW, 60000 | 60000u << 16, "does not fit");
    refuse_field(m, node + N_GROUPS, 3, "groups");
    refuse_field(m, node + N_GROUPS, 0, "groups");
    refuse_field(m, node + N_SCALES, 5, "scales");
    refuse_field(m, node + N_WEIGHTS, (uint32_t)none, "codes outside");
    refuse_field(m, node + N_VECTORS, (uint32_t)none - 3, "outside");
    refuse_field(m, node + N_NAME, (uint32_t)none, "no name");
    refuse_field(m, node + N_ZERO, 1, "does not know");
    refuse_field(m, node + N_CLAMP, 0x7fc00000, "clamp");
    refuse_field(m, node + N_KIND, 9, "unknown kind");
    free(b);
    trit_model_close(m);
    free_graph(&tg);
}

/* What only codes have is refused beside float weights. */
static void float_weights_have_no_codes(void **state) {
    (void)state;
    odd_graph(&tg, 7, false); /* its last node */
    trit_model *m = model_of(&tg, false);
    const size_t node = HEADER_BYTES + (size_t)(tg.g.n - 1) * NODE_BYTES;
    const uint32_t kinds = get32(m->bytes + node + N_KIND);
    assert_int_equal(m->bytes[node + N_WEIGHT], TRIT_WEIGHT_FLOAT);
    refuse_field(m, node + N_KIND, kinds | 1u << 8 * N_PLANES, "float weights");
    refuse_field(m, node + N_KIND, kinds | (uint32_t)F_TWO_SIDED << 8 * N_FLAGS, "float weights");
    refuse_field(m, node + N_SCALES, 1, "float weights");
    trit_model_close(m);
    free_graph(&tg);
}

static uint64_t mutation_draw(uint64_t i, uint32_t lane, uint64_t below) {
    uint32_t r[4];
    trit_rng(99, TRIT_STREAM_USER, i, lane, r);
    return (((uint64_t)r[0] << 32) | r[1]) % below;
}

/* Both engines, when the damaged sizes are within reason. */
static void run_both(trit_model *m) {
    const trit_graph *g = trit_model_graph(m);
    float *image = calloc((size_t)(g->C * g->H * g->W), sizeof *image);
    float *y = calloc((size_t)g->classes, sizeof *y);
    for (int bits = 0; image && y && bits <= 8; bits += 8) {
        trit_runner *r = NULL;
        if (g->C * g->H * g->W > 4096) break;
        if (trit_runner_new(m, &(trit_runner_options){.bits = bits}, &r) != TRIT_OK) continue;
        if (r->arena_bytes < 1 << 22) assert_int_equal(trit_runner_run(r, 1, image, y), TRIT_OK);
        trit_runner_close(r);
    }
    free(image);
    free(y);
}

/* Random bytes of header and nodes changed, checksum right: refused, or a model that runs. */
static void random_damage_is_harmless(void **state) {
    (void)state;
    odd_graph(&tg, 7, false);
    double want[7];
    images(u8_x, tg.g.C * tg.g.H * tg.g.W, 1);
    reference_run(&tg.g, u8_x, want, true);
    trit_model *m = model_of(&tg, true);
    const size_t head = HEADER_BYTES + (size_t)tg.g.n * NODE_BYTES;
    uint8_t *b = malloc(m->n);
    int accepted = 0;
    for (uint64_t i = 0; i < MUTATIONS; i++) {
        memcpy(b, m->bytes, m->n);
        const uint64_t changes = 1 + mutation_draw(i, 0, 3);
        for (uint64_t k = 0; k < changes; k++) {
            const size_t at = 32 + mutation_draw(i, (uint32_t)(3 * k + 1), head - 32);
            b[at] = (uint8_t)mutation_draw(i, (uint32_t)(3 * k + 2), 256);
        }
        const size_t n = i % 5 ? m->n : head + mutation_draw(i, 50, m->n - head);
        rehash(b, n);
        trit_model *x = NULL;
        if (trit_model_parse(b, n, "x", &x) != TRIT_OK) continue;
        accepted++;
        run_both(x);
        trit_model_close(x);
    }
    assert_true(accepted > 100); /* the loop does reach working models */
    free(b);
    trit_model_close(m);
    free_graph(&tg);
}

static void plan_never_overlaps(void **state) {
    (void)state;
    enum { N = 60 };
    for (uint64_t seed = 0; seed < 200; seed++) {
        trit_span s[N];
        size_t sum = 0;
        for (uint64_t i = 0; i < N; i++) {
            const int64_t first = (int64_t)i - 1;
            s[i] =
                (trit_span){.bytes = mutation_draw(seed, (uint32_t)(100 + i), 5000),
                            .first = first,
                            .last = first + (int64_t)mutation_draw(seed, (uint32_t)(200 + i), 6)};
            sum += s[i].bytes + 64;
        }
        const size_t total = trit_plan_spans(s, N);
        assert_true(total <= sum);
        for (int i = 0; i < N; i++) {
            assert_true(s[i].offset % 64 == 0 && s[i].offset + s[i].bytes <= total);
            for (int j = 0; j < i; j++) {
                const bool apart = s[i].offset >= s[j].offset + s[j].bytes ||
                                   s[j].offset >= s[i].offset + s[i].bytes;
                const bool together = s[i].first <= s[j].last && s[j].first <= s[i].last;
                if (together && !apart && s[i].bytes && s[j].bytes)
                    fail_msg("seed %d: spans %d and %d overlap", (int)seed, i, j);
            }
        }
    }
}

static void every_failing_allocation_is_survived(void **state) {
    (void)state;
    double want[7];
    trit_isa_force(TRIT_ISA_GENERIC);
    residual_graph(&tg, 8, 8, 12);
    images(u8_x, 3 * 12 * 12, 1);
    reference_run(&tg.g, u8_x, want, true);
    const size_t live = trit_mem_query().live;
    for (int n = 0;; n++) {
        trit_model *m = NULL;
        trit_runner *r = NULL, *q = NULL;
        trit_mem_fail_after(n);
        trit_status status = trit_model_encode(&tg.g, true, &m);
        if (status == TRIT_OK) status = trit_runner_new(m, NULL, &r);
        if (status == TRIT_OK) status = trit_runner_new(m, &(trit_runner_options){.bits = 7}, &q);
        trit_mem_fail_after(-1);
        trit_runner_close(q);
        trit_runner_close(r);
        trit_model_close(m);
        assert_int_equal(trit_mem_query().live, live);
        if (status == TRIT_OK) break;
        assert_true(n < 100);
    }
    free_graph(&tg);
}

static int start(void **state) {
    (void)state;
    return trit_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_go_round),
        cmocka_unit_test(bytes_are_as_documented),
        cmocka_unit_test(bad_codes_are_seen),
        cmocka_unit_test(file_goes_round),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(float_weights_have_no_codes),
        cmocka_unit_test(random_damage_is_harmless),
        cmocka_unit_test(plan_never_overlaps),
        cmocka_unit_test(exact_path_computes_the_graph),
        cmocka_unit_test(threads_give_the_same_bits),
        cmocka_unit_test(integer_path_is_the_same_everywhere),
        cmocka_unit_test(integer_path_takes_float_layers),
        cmocka_unit_test(integers_need_calibration),
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
