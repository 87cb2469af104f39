/* tier: fast */
/* test_data.c - sources, batches in order, damaged files, making and packing sets. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "trit/data.h"

static char root[64]; /* a directory of this run */

static void write_bytes(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static trit_step step_of(const char *name) {
    trit_step s = {.transform = trit_transform_find(name)};
    assert_non_null(s.transform);
    trit_args_default(s.transform->params, &s.args);
    return s;
}

/* ------------------------------------------------------------------------ batches */

static const char *const suffix[3] = {".jpg", ".JPEG", ".jpeg"};

/* root/NAME with 2 classes of `n` JPEGs of one colour each: train; the value is 3 i + 10. */
static void make_folder(const char *name, int n, char *dir, size_t size) {
    char path[256];
    snprintf(dir, size, "%s/%s", root, name);
    mkdir(dir, 0777);
    for (int c = 0; c < 2; c++) {
        snprintf(path, sizeof path, "%s/%c", dir, 'a' + c);
        mkdir(path, 0777);
        for (int i = 0; i < n; i++) {
            uint8_t px[8 * 8 * 3], *bytes = NULL;
            trit_image im = {.px = px, .h = 8, .w = 8, .c = 3};
            size_t length;
            memset(px, 3 * (c * n + i) + 10, sizeof px);
            assert_int_equal(trit_jpeg_encode(&im, 95, &bytes, &length), TRIT_OK);
            snprintf(path, sizeof path, "%s/%c/%02d%s", dir, 'a' + c, i, suffix[i % 3]);
            write_bytes(path, bytes, length);
            free(bytes);
        }
    }
}

static trit_data *open_set(const char *dir, int workers, int cache, int policy) {
    char spec[256];
    trit_args o;
    trit_data *d;
    trit_step steps[2] = {step_of("crop"), step_of("flip")};
    steps[0].args.v[0][0] = 2;
    trit_args_default(trit_data_params, &o);
    o.v[TRIT_DATA_BATCH][0] = 4;
    o.v[TRIT_DATA_SEED][0] = 9;
    o.v[TRIT_DATA_WORKERS][0] = workers;
    o.v[TRIT_DATA_CACHE][0] = cache;
    o.v[TRIT_DATA_ON_ERROR][0] = policy;
    snprintf(spec, sizeof spec, "folder:%s", dir);
    assert_int_equal(trit_data_open(spec, &o, steps, 2, &d), TRIT_OK);
    return d;
}

typedef struct {
    float x[64][3 * 64], y[64];
    int n, batches, last;
} pass;

static void run(trit_data *d, int64_t epoch, int64_t start, pass *p) {
    trit_batches *b;
    trit_tensor *x, *y;
    memset(p, 0, sizeof *p);
    assert_int_equal(trit_batches_open(d, TRIT_TRAIN, epoch, start, &b), TRIT_OK);
    for (;;) {
        assert_int_equal(trit_batches_next(b, &x, &y), TRIT_OK);
        if (!x) break;
        int64_t n = x->shape.dim[0];
        assert_true(trit_has_layout(x, TRIT_CHANNELS_LAST));
        assert_int_equal(y->shape.dim[0], n);
        memcpy(p->x[p->n], x->data, (size_t)n * sizeof p->x[0]);
        memcpy(&p->y[p->n], y->data, (size_t)n * sizeof p->y[0]);
        p->n += (int)n;
        p->last = (int)n;
        p->batches++;
        trit_tensor_release(x);
        trit_tensor_release(y);
    }
    trit_batches_close(b);
}

static void batches_do_not_depend_on_workers_or_cache(void **state) {
    (void)state;
    char dir[128];
    static pass first, other;
    make_folder("workers", 9, dir, sizeof dir);
    trit_data *d = open_set(dir, 1, 1 << 20, TRIT_DATA_REPLACE);
    run(d, 3, 0, &first);
    assert_int_equal(first.n, 18);
    assert_int_equal(first.batches, 5);
    assert_int_equal(first.last, 2);
    run(d, 3, 0, &other); /* now from the cache */
    assert_memory_equal(&first, &other, sizeof first);
    run(d, 4, 0, &other);
    assert_memory_not_equal(&first, &other, sizeof first);
    trit_data_release(d);
    for (int workers = 1; workers <= 3; workers++) {
        d = open_set(dir, workers, workers == 3 ? 0 : 1 << 20, TRIT_DATA_REPLACE);
        run(d, 3, 0, &other);
        assert_memory_equal(&first, &other, sizeof first);
        trit_data_release(d);
    }
}

static void a_pass_resumed_at_a_batch_equals_the_whole_pass(void **state) {
    (void)state;
    char dir[128];
    static pass whole, rest;
    make_folder("resume", 9, dir, sizeof dir);
    trit_data *d = open_set(dir, 2, 0, TRIT_DATA_REPLACE);
    run(d, 1, 0, &whole);
    for (int start = 1; start <= 5; start++) {
        run(d, 1, start, &rest);
        int skipped = start * 4 < 18 ? start * 4 : 18;
        assert_int_equal(rest.n, 18 - skipped);
        assert_memory_equal(rest.x, whole.x[skipped], (size_t)rest.n * sizeof whole.x[0]);
        assert_memory_equal(rest.y, &whole.y[skipped], (size_t)rest.n * sizeof whole.y[0]);
    }
    trit_data_release(d);
}

static void closing_in_the_middle_neither_hangs_nor_leaks(void **state) {
    (void)state;
    char dir[128];
    make_folder("close", 9, dir, sizeof dir);
    trit_data *d = open_set(dir, 3, 0, TRIT_DATA_REPLACE);
    size_t before = trit_mem_query().live;
    for (int taken = 0; taken < 5; taken++) {
        trit_batches *b;
        trit_tensor *x, *y;
        assert_int_equal(trit_batches_open(d, TRIT_TRAIN, 0, 0, &b), TRIT_OK);
        for (int i = 0; i < taken; i++) {
            assert_int_equal(trit_batches_next(b, &x, &y), TRIT_OK);
            trit_tensor_release(x);
            trit_tensor_release(y);
        }
        trit_batches_close(b);
        assert_int_equal(trit_mem_query().live, before);
    }
    trit_data_release(d);
}

static void damaged_files_follow_the_policy_and_are_named(void **state) {
    (void)state;
    char dir[128], path[256], text[512];
    static pass p;
    make_folder("damaged", 3, dir, sizeof dir); /* a: 0 1 2, b: 3 4 5 */
    snprintf(path, sizeof path, "%s/a/02.jpeg", dir);
    write_bytes(path, "\xff\xd8\xff\xe0 cut", 8);
    trit_data *d = open_set(dir, 2, 0, TRIT_DATA_REPLACE);
    run(d, 0, 0, &p);
    assert_int_equal(p.n, 6);
    int second = 0; /* b/00.jpg, the next in file order, stands in with its label */
    for (int i = 0; i < 6; i++) second += p.y[i] == 2;
    assert_int_equal(second, 4);
    run(d, 1, 0, &p);
    assert_int_equal(trit_data_bad_count(d), 1);
    int split;
    int64_t index;
    assert_true(trit_data_bad_at(d, 0, &split, &index, text, sizeof text));
    assert_int_equal(index, 2);
    assert_non_null(strstr(text, "a/02.jpeg: damaged JPEG"));
    trit_data_release(d);

    d = open_set(dir, 2, 0, TRIT_DATA_SKIP);
    run(d, 0, 0, &p);
    assert_int_equal(p.n, 5);
    trit_data_release(d);

    trit_batches *b;
    trit_tensor *x, *y;
    trit_status status = TRIT_OK;
    d = open_set(dir, 1, 0, TRIT_DATA_FAIL);
    assert_int_equal(trit_batches_open(d, TRIT_TRAIN, 0, 0, &b), TRIT_OK);
    for (int i = 0; i < 3 && status == TRIT_OK; i++) {
        status = trit_batches_next(b, &x, &y);
        if (status != TRIT_OK || !x) break;
        trit_tensor_release(x);
        trit_tensor_release(y);
    }
    assert_int_equal(status, TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "a/02.jpeg: damaged JPEG"));
    trit_batches_close(b);
    trit_data_release(d);
}

/* Batches of which every image is damaged are left out of the pass, not of its count. */
static void the_position_of_a_pass_counts_batches_left_out(void **state) {
    (void)state;
    char dir[128], path[256];
    static pass whole, rest;
    bool met = false;
    make_folder("position", 9, dir, sizeof dir);
    for (int i = 0; i < 9; i++) {
        snprintf(path, sizeof path, "%s/a/%02d%s", dir, i, suffix[i % 3]);
        write_bytes(path, "\xff\xd8\xff\xe0 cut", 8);
    }
    trit_data *d = open_set(dir, 2, 0, TRIT_DATA_SKIP);
    for (int64_t epoch = 0; epoch < 20; epoch++) {
        trit_batches *b;
        trit_tensor *x, *y;
        run(d, epoch, 0, &whole);
        assert_int_equal(trit_batches_open(d, TRIT_TRAIN, epoch, 0, &b), TRIT_OK);
        for (int taken = 1, seen = 0; taken <= whole.batches; taken++) {
            assert_int_equal(trit_batches_next(b, &x, &y), TRIT_OK);
            seen += (int)x->shape.dim[0];
            met |= trit_batches_position(b) > taken;
            run(d, epoch, trit_batches_position(b), &rest);
            assert_int_equal(rest.n, whole.n - seen);
            assert_memory_equal(rest.x, whole.x[seen], (size_t)rest.n * sizeof rest.x[0]);
            trit_tensor_release(x);
            trit_tensor_release(y);
        }
        trit_batches_close(b);
    }
    assert_true(met);
    trit_data_release(d);
}

/* ------------------------------------------------------------------------ IDX, CIFAR */

static void put_word(uint8_t *b, uint32_t v) {
    for (int i = 0; i < 4; i++) b[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void write_idx(const char *dir, size_t image_bytes, uint32_t magic) {
    uint8_t images[16 + 10 * 6] = {0}, labels[8 + 10] = {0};
    char path[256];
    put_word(images, magic);
    put_word(images + 4, 10);
    put_word(images + 8, 2);
    put_word(images + 12, 3);
    for (int i = 0; i < 60; i++) images[16 + i] = (uint8_t)i;
    put_word(labels, 0x801);
    put_word(labels + 4, 10);
    for (int i = 0; i < 10; i++) labels[8 + i] = (uint8_t)i;
    snprintf(path, sizeof path, "%s/t10k-images-idx3-ubyte", dir);
    write_bytes(path, images, image_bytes);
    snprintf(path, sizeof path, "%s/t10k-labels-idx1-ubyte", dir);
    write_bytes(path, labels, sizeof labels);
}

static void idx_files_are_checked_byte_by_byte(void **state) {
    (void)state;
    char dir[128], spec[160];
    trit_source *s;
    snprintf(dir, sizeof dir, "%s/idx", root);
    snprintf(spec, sizeof spec, "idx:%s", dir);
    mkdir(dir, 0777);
    assert_int_equal(trit_source_open(spec, &s), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "neither train-images-idx3-ubyte nor t10k"));
    write_idx(dir, 76, 0x803);
    assert_int_equal(trit_source_open(spec, &s), TRIT_OK);
    assert_int_equal(s->count[TRIT_TRAIN], 8);
    assert_int_equal(s->count[TRIT_TEST], 2);
    trit_reader r = {0};
    trit_image im = {0};
    assert_int_equal(s->kind->read(s, TRIT_TEST, 1, &r, &im), TRIT_OK);
    assert_int_equal(im.px[0], 54);
    assert_int_equal(s->kind->label(s, TRIT_TEST, 1), 9);
    trit_image_free(&im);
    trit_source_close(s);
    write_idx(dir, 70, 0x803);
    assert_int_equal(trit_source_open(spec, &s), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "70 bytes found, 76 expected"));
    write_idx(dir, 76, 0x3c21444f); /* "<!DO" */
    assert_int_equal(trit_source_open(spec, &s), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "magic number 0x3c21444f found, 0x00000803"));
    assert_non_null(strstr(trit_last_error(), "HTML"));
}

static void cifar10_planes_become_pixels(void **state) {
    (void)state;
    char dir[128], path[256], spec[160];
    static uint8_t record[2 * 3073];
    trit_source *s;
    snprintf(dir, sizeof dir, "%s/cifar", root);
    snprintf(spec, sizeof spec, "cifar10:%s", dir);
    mkdir(dir, 0777);
    for (int k = 1; k <= 6; k++) {
        record[0] = (uint8_t)k;
        record[1] = 11;
        record[1 + 1024] = 22;
        record[1 + 2048] = 33;
        snprintf(path, sizeof path, k <= 5 ? "%s/data_batch_%d.bin" : "%s/test_batch.bin", dir, k);
        write_bytes(path, record, k == 6 ? 3073 : sizeof record);
    }
    assert_int_equal(trit_source_open(spec, &s), TRIT_OK);
    assert_int_equal(s->count[TRIT_TRAIN], 10);
    assert_int_equal(s->count[TRIT_TEST], 1);
    trit_reader r = {0};
    trit_image im = {0};
    assert_int_equal(s->kind->read(s, TRIT_TRAIN, 4, &r, &im), TRIT_OK);
    assert_int_equal(s->kind->label(s, TRIT_TRAIN, 4), 3);
    const uint8_t first[3] = {11, 22, 33};
    assert_memory_equal(im.px, first, 3);
    trit_image_free(&im);
    trit_source_close(s);
    write_bytes(path, record, 3000);
    assert_int_equal(trit_source_open(spec, &s), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "test_batch.bin: 3000 bytes found"));
}

/* ------------------------------------------------------------------ making, packing */

static void shapes10_is_the_same_for_any_thread_count(void **state) {
    (void)state;
    trit_args o;
    uint64_t sum[2];
    trit_args_default(trit_shapes10_params, &o);
    o.v[0][0] = 200; /* train */
    o.v[1][0] = 30;  /* test  */
    for (int k = 0; k < 2; k++) {
        char dir[128], spec[160];
        trit_source *s;
        assert_int_equal(trit_set_threads(k == 0 ? 1 : 3), TRIT_OK);
        snprintf(dir, sizeof dir, "%s/made%d", root, k);
        snprintf(spec, sizeof spec, "folder:%s", dir);
        assert_int_equal(trit_shapes10_make(&o, dir, false), TRIT_OK);
        assert_int_equal(trit_shapes10_make(&o, dir, false), TRIT_ERR_IO);
        assert_int_equal(trit_source_open(spec, &s), TRIT_OK);
        assert_int_equal(s->count[TRIT_TRAIN], 200);
        assert_int_equal(s->classes, 10);
        assert_int_equal(trit_source_checksum(s, true, &sum[k]), TRIT_OK);
        trit_source_close(s);
    }
    assert_true(sum[0] == sum[1]);
}

static void packed_images_are_the_decoded_ones(void **state) {
    (void)state;
    char dir[128], spec[192], file[160], path[256];
    trit_source *folder, *packed;
    int64_t left_out;
    make_folder("pack", 4, dir, sizeof dir);
    snprintf(path, sizeof path, "%s/a/01.JPEG", dir);
    write_bytes(path, "", 0); /* damaged: left out */
    snprintf(spec, sizeof spec, "folder:%s", dir);
    snprintf(file, sizeof file, "%s/set.h5", root);
    assert_int_equal(trit_source_open(spec, &folder), TRIT_OK);
    assert_int_equal(trit_source_pack(folder, 0, file, &left_out), TRIT_OK);
    assert_int_equal(left_out, 1);
    snprintf(spec, sizeof spec, "h5:%s", file);
    assert_int_equal(trit_source_open(spec, &packed), TRIT_OK);
    assert_int_equal(packed->count[TRIT_TRAIN], 7);
    assert_string_equal(packed->class_names[1], "b");
    trit_reader r = {0};
    trit_image a = {0}, b = {0};
    for (int64_t i = 0; i < 7; i++) {
        int64_t from = i == 0 ? 0 : i + 1;
        assert_int_equal(folder->kind->read(folder, TRIT_TRAIN, from, &r, &a), TRIT_OK);
        assert_int_equal(packed->kind->read(packed, TRIT_TRAIN, i, &r, &b), TRIT_OK);
        assert_memory_equal(a.px, b.px, 8 * 8 * 3);
        assert_int_equal(packed->kind->label(packed, TRIT_TRAIN, i),
                         folder->kind->label(folder, TRIT_TRAIN, from));
    }
    trit_image_free(&a);
    trit_image_free(&b);
    trit_reader_close(&r);
    trit_source_close(folder);
    trit_source_close(packed);
    assert_int_equal(truncate(file, 1000), 0);
    assert_int_equal(trit_source_open(spec, &packed), TRIT_ERR_IO);
}

static void failed_allocations_are_errors(void **state) {
    (void)state;
    char dir[128];
    make_folder("memory", 3, dir, sizeof dir);
    trit_data *d = open_set(dir, 1, 0, TRIT_DATA_REPLACE);
    bool passed = false;
    for (int64_t k = 0; k < 60 && !passed; k++) {
        trit_batches *b;
        trit_tensor *x = NULL, *y = NULL;
        trit_mem_fail_after(k);
        trit_status status = trit_batches_open(d, TRIT_TRAIN, 0, 0, &b);
        bool opened = status == TRIT_OK;
        passed = opened;
        for (int i = 0; opened && i < 3; i++) {
            status = trit_batches_next(b, &x, &y);
            if (status != TRIT_OK) {
                assert_int_equal(status, TRIT_ERR_MEM);
                passed = false;
                break;
            }
            trit_tensor_release(x);
            trit_tensor_release(y);
        }
        trit_mem_fail_after(-1);
        if (opened) trit_batches_close(b);
    }
    assert_true(passed);
    assert_int_equal(trit_data_bad_count(d), 0); /* want of memory is no damage */
    trit_data_release(d);
}

static int set_up(void **state) {
    (void)state;
    snprintf(root, sizeof root, "/tmp/trit-test-data-XXXXXX");
    return mkdtemp(root) && trit_init() == TRIT_OK ? 0 : -1;
}

static int clean_up(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_do_not_depend_on_workers_or_cache),
        cmocka_unit_test(a_pass_resumed_at_a_batch_equals_the_whole_pass),
        cmocka_unit_test(closing_in_the_middle_neither_hangs_nor_leaks),
        cmocka_unit_test(damaged_files_follow_the_policy_and_are_named),
        cmocka_unit_test(the_position_of_a_pass_counts_batches_left_out),
        cmocka_unit_test(idx_files_are_checked_byte_by_byte),
        cmocka_unit_test(cifar10_planes_become_pixels),
        cmocka_unit_test(shapes10_is_the_same_for_any_thread_count),
        cmocka_unit_test(packed_images_are_the_decoded_ones),
        cmocka_unit_test(failed_allocations_are_errors),
    };
    return cmocka_run_group_tests(tests, set_up, clean_up);
}
