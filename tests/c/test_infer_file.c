/* Packed models as files: the codes, written and read, damaged in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "infer/runner.h"
#include "infer_graphs.h"

enum { MUTATIONS = 20000, FLIPS = 300 };

static test_graph tg; /* too large for the stack */
static float u8_x[3 * 40 * 40];

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
    trit_graph copy = *h; /* an archive's codes are 2-bit ones in memory */
    copy.nodes = tg.nodes;
    memcpy(copy.nodes, h->nodes, (size_t)h->n * sizeof *copy.nodes);
    assert_int_equal(trit_model_encode(&copy, false, &back), TRIT_OK);
    assert_int_equal(back->n, m->n);
    assert_memory_equal(back->bytes, m->bytes, m->n);
    copy.name = NULL;
    trit_model *none = NULL;
    assert_int_equal(trit_model_encode(&copy, false, &none), TRIT_ERR_ARG);
    trit_model_close(back);
    trit_model_close(a);
    trit_model_close(m);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes: no reason to wait */
    assert_int_equal(trit_model_open(path, &none), TRIT_ERR_IO);
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
    refuse_field(m, get32(m->bytes + AT_STRINGS), 0x001b6161, "control byte 0x1b");
    refuse_field(m, get32(m->bytes + AT_STRINGS) + 4, 0x007f0a61, "control byte 0x0a");
    refuse_field(m, get32(m->bytes + AT_STRINGS), 0x0000007f, "control byte 0x7f");
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
    refuse_field(m, node + N_KIND, (get32(m->bytes + node + N_KIND) & ~0xffu) | 9, "unknown kind");
    free(b);
    trit_model_close(m);
    free_graph(&tg);
}

/* Flags and fields that mean something for other kinds only. */
static void unused_fields_are_refused(void **state) {
    (void)state;
    residual_graph(&tg, 6, 8, 12);
    trit_model *m = model_of(&tg, false);
    const size_t shortcut = HEADER_BYTES + 4 * NODE_BYTES, pool = HEADER_BYTES + 7 * NODE_BYTES;
    const size_t conv = HEADER_BYTES;
    const uint32_t flags = 8 * N_FLAGS;
    assert_int_equal(m->bytes[shortcut], TRIT_NODE_SHORTCUT);
    assert_int_equal(m->bytes[pool], TRIT_NODE_MAX_POOL);
    const uint32_t of_pool = get32(m->bytes + pool), of_conv = get32(m->bytes + conv);
    refuse_field(m, pool, of_pool | (uint32_t)F_CLAMP << flags, "clamps");
    refuse_field(m, pool, of_pool | (uint32_t)F_COUNT_PAD << flags, "counts padding");
    refuse_field(m, pool, of_pool | (uint32_t)F_BIAS << flags, "gain or bias");
    refuse_field(m, pool, of_pool | (uint32_t)F_GAIN << flags, "gain or bias");
    refuse_field(m, pool + N_CLAMP, 1, "does not know");
    refuse_field(m, pool + N_SCALES, 1, "has scales");
    refuse_field(m, shortcut + N_GROUPS, 2, "has groups");
    refuse_field(m, conv, of_conv | (uint32_t)F_COUNT_PAD << flags, "counts padding");
    refuse_field(m, conv + N_WEIGHTS, get32(m->bytes + conv + N_WEIGHTS) + 1, "codes outside");
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
        cmocka_unit_test(unused_fields_are_refused),
        cmocka_unit_test(random_damage_is_harmless),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
