/* tier: fast */
/* test_h5.c - HDF5 files: what is written is read back, grafts, series, locks, errors. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "trit/io.h"

static char directory[64], file[96];

static int make_directory(void **state) {
    (void)state;
    strcpy(directory, "/tmp/trit-h5-XXXXXX");
    if (!mkdtemp(directory)) return -1;
    snprintf(file, sizeof file, "%s/f.h5", directory);
    return 0;
}

static int remove_directory(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

static trit_h5 *open_file(char mode) {
    trit_h5 *f = NULL;
    if (trit_h5_open(file, mode, &f) != TRIT_OK) fail_msg("%s", trit_last_error());
    return f;
}

static void close_file(trit_h5 *f) { assert_int_equal(trit_h5_close(f), TRIT_OK); }

static void every_type_comes_back(void **state) {
    (void)state;
    const double reals[6] = {1.0 / 3, NAN, INFINITY, -0.0, 1e-310, -1e300};
    const int64_t whole[3] = {INT64_MIN, -1, INT64_MAX}, shape[2] = {2, 3}, three = 3;
    const uint8_t bytes[3] = {0, 1, 255}, yes = 1;
    const char *const words[2] = {"one", "zwei \xc3\xa4"};
    trit_h5 *f = open_file('w');
    assert_int_equal(trit_h5_write(f, "/a/b/reals", NULL, TRIT_H5_F64, 2, shape, reals), TRIT_OK);
    assert_int_equal(trit_h5_write(f, "whole", NULL, TRIT_H5_I64, 1, &three, whole), TRIT_OK);
    assert_int_equal(trit_h5_write(f, "bytes", NULL, TRIT_H5_U8, 1, &three, bytes), TRIT_OK);
    assert_int_equal(trit_h5_write(f, "whole", "flag", TRIT_H5_BOOL, 0, NULL, &yes), TRIT_OK);
    assert_int_equal(trit_h5_write_text(f, "words", NULL, 2, words), TRIT_OK);
    assert_int_equal(trit_h5_write_text(f, "", "title", 0, words), TRIT_OK);
    close_file(f);

    f = open_file('r');
    trit_h5_info info;
    double r[6];
    int64_t w[3];
    uint8_t b[3];
    assert_int_equal(trit_h5_describe(f, "a/b/reals", NULL, &info), TRIT_OK);
    assert_int_equal(info.kind, TRIT_H5_NUMBER);
    assert_true(!info.integer && !info.scalar && !info.growing && info.shape.ndim == 2);
    assert_int_equal(trit_h5_read(f, "a/b/reals", NULL, TRIT_H5_F64, r), TRIT_OK);
    assert_memory_equal(r, reals, sizeof r);
    assert_int_equal(trit_h5_read(f, "whole", NULL, TRIT_H5_I64, w), TRIT_OK);
    assert_memory_equal(w, whole, sizeof w);
    assert_int_equal(trit_h5_read(f, "bytes", NULL, TRIT_H5_U8, b), TRIT_OK);
    assert_memory_equal(b, bytes, sizeof b);
    assert_int_equal(trit_h5_describe(f, "whole", "flag", &info), TRIT_OK);
    assert_true(info.boolean && info.scalar);
    assert_int_equal(trit_h5_describe(f, "nothing/here", NULL, &info), TRIT_OK);
    assert_int_equal(info.kind, TRIT_H5_NONE);
    trit_h5_names names;
    assert_int_equal(trit_h5_read_text(f, "words", NULL, &names), TRIT_OK);
    assert_int_equal(names.n, 2);
    assert_string_equal(names.s[1], words[1]);
    trit_h5_names_free(&names);
    assert_int_equal(trit_h5_list(f, "", &names), TRIT_OK);
    assert_int_equal(names.n, 4);
    assert_string_equal(names.s[0], "a");
    trit_h5_names_free(&names);
    close_file(f);
}

static void a_tensor_keeps_its_values_in_any_layout(void **state) {
    (void)state;
    const trit_shape shape = {4, {3, 4, 2, 5}};
    trit_tensor *t, *back;
    assert_int_equal(trit_tensor_new(&shape, TRIT_HWIO, &t), TRIT_OK);
    trit_rng_fill_normal(1, 0, 0, 1, t->data, trit_numel(t));
    trit_h5 *f = open_file('w');
    assert_int_equal(trit_h5_write_tensor(f, "t", t), TRIT_OK);
    assert_int_equal(trit_h5_read_tensor(f, "t", &back), TRIT_OK);
    assert_true(trit_same_shape(t, back) && trit_has_layout(back, TRIT_ROW_MAJOR));
    const float *at =
        t->data + 2 * t->stride[0] + 1 * t->stride[1] + 1 * t->stride[2] + 4 * t->stride[3];
    assert_true(*at == back->data[((2 * 4 + 1) * 2 + 1) * 5 + 4]);
    trit_tensor_release(t);
    trit_tensor_release(back);
    close_file(f);
}

static void a_series_grows_and_is_cut(void **state) {
    (void)state;
    trit_h5 *f = open_file('w');
    trit_h5_series *s;
    double row[3] = {0, 0.5, 1}, rows[9], last[2];
    assert_int_equal(trit_h5_series_new(f, "g/rows", TRIT_H5_F64, 3, 4, 1, row, &s), TRIT_OK);
    for (int i = 1; i < 10; i++) { /* over two chunk borders */
        row[0] = i;
        assert_int_equal(trit_h5_series_append(s, row), TRIT_OK);
    }
    assert_int_equal(trit_h5_series_resize(s, 9), TRIT_OK);
    trit_h5_series_close(s);
    close_file(f);
    f = open_file('a');
    assert_int_equal(trit_h5_series_open(f, "g/rows", &s), TRIT_OK);
    assert_int_equal(trit_h5_series_rows(s), 9);
    assert_int_equal(trit_h5_series_width(s), 3);
    assert_int_equal(trit_h5_series_append(s, row), TRIT_OK);
    assert_int_equal(trit_h5_read_rows(f, "g/rows", TRIT_H5_F64, 7, 3, rows), TRIT_OK);
    assert_true(rows[0] == 7 && rows[3] == 8 && rows[6] == 9 && rows[8] == 1);
    assert_int_equal(trit_h5_read_rows(f, "g/rows", TRIT_H5_F64, 9, 2, last), TRIT_ERR_ARG);
    assert_non_null(strstr(trit_last_error(), "rows 9..10 of 'g/rows', which has 10"));
    trit_h5_series_close(s);
    close_file(f);
}

static void a_graft_is_seen_whole_or_not_at_all(void **state) {
    (void)state;
    trit_h5 *f = open_file('w'), *graft, *other;
    trit_h5_info info;
    const double one = 1;
    assert_int_equal(trit_h5_flush(f), TRIT_OK);
    assert_int_equal(trit_h5_graft_begin(f, "new/group", &graft), TRIT_OK);
    assert_int_equal(trit_h5_write(graft, "x", NULL, TRIT_H5_F64, 0, NULL, &one), TRIT_OK);
    assert_int_equal(trit_h5_describe(f, "new/group", NULL, &info), TRIT_OK);
    assert_int_equal(info.kind, TRIT_H5_NONE);
    assert_int_equal(trit_h5_graft_end(graft, true), TRIT_OK);
    other = open_file('r'); /* while f is open: another handle sees it */
    assert_int_equal(trit_h5_describe(other, "new/group/x", NULL, &info), TRIT_OK);
    assert_int_equal(info.kind, TRIT_H5_NUMBER);
    close_file(other);
    assert_int_equal(trit_h5_graft_begin(f, "dropped", &graft), TRIT_OK);
    assert_int_equal(trit_h5_graft_end(graft, false), TRIT_OK);
    assert_int_equal(trit_h5_describe(f, "dropped", NULL, &info), TRIT_OK);
    assert_int_equal(info.kind, TRIT_H5_NONE);
    close_file(f);
}

static void failures_are_one_sentence(void **state) {
    (void)state;
    trit_h5 *f;
    const double one = 1;
    unlink(file);
    assert_int_equal(trit_h5_open(file, 'r', &f), TRIT_ERR_IO);
    assert_null(f);
    assert_non_null(strstr(trit_last_error(), "f.h5': No such file or directory"));
    FILE *text = fopen(file, "w");
    fputs("no HDF5 at all", text);
    fclose(text);
    assert_int_equal(trit_h5_open(file, 'r', &f), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "file signature not found"));
    assert_int_equal(trit_h5_open(file, 'x', &f), TRIT_ERR_ARG);

    f = open_file('w');
    assert_int_equal(trit_h5_write(f, "x", NULL, TRIT_H5_F64, 0, NULL, &one), TRIT_OK);
    close_file(f);
    f = open_file('r');
    trit_tensor *t;
    assert_int_equal(trit_h5_write(f, "y", NULL, TRIT_H5_F64, 0, NULL, &one), TRIT_ERR_STATE);
    assert_non_null(strstr(trit_last_error(), "opened for reading only"));
    assert_int_equal(trit_h5_read_tensor(f, "missing/x", &t), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "has no 'missing/x'"));
    trit_mem_trim();
    trit_mem_fail_after(0);
    assert_int_equal(trit_h5_read_tensor(f, "x", &t), TRIT_ERR_MEM);
    trit_mem_fail_after(-1);
    close_file(f);
    assert_int_equal(truncate(file, 300), 0);
    assert_int_equal(trit_h5_open(file, 'r', &f), TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), "truncated file"));
}

static void a_lock_outlives_nothing_but_its_owner(void **state) {
    (void)state;
    trit_lock *lock, *second;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves nobody waiting */
        char go = trit_lock_take(file, &lock) == TRIT_OK;
        if (write(ready[1], &go, 1) != 1) _exit(1);
        for (;;) pause();
    }
    char taken = 0;
    assert_int_equal(read(ready[0], &taken, 1), 1);
    assert_true(taken);
    char who[32];
    snprintf(who, sizeof who, "process %ld on ", (long)child);
    assert_int_equal(trit_lock_take(file, &second), TRIT_ERR_STATE);
    assert_non_null(strstr(trit_last_error(), who));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(trit_lock_take(file, &lock), TRIT_OK); /* the dead owner's file is no lock */
    assert_int_equal(trit_lock_take(file, &second), TRIT_ERR_STATE);
    trit_lock_release(lock);
    assert_int_equal(trit_lock_take(file, &second), TRIT_OK);
    trit_lock_release(second);
    close(ready[0]), close(ready[1]);
}

/* A file size limit stands in for a full disk.  What HDF5 could not write stays with it for the
 * rest of the process: the tests after this one, and the exit, show that it does no harm. */
static void a_full_disk_is_an_error(void **state) {
    (void)state;
    trit_runlog *log;
    double step = 1, row[1000] = {0};
    const trit_field field[2] = {{.name = "step", .data = &step},
                                 {.name = "row", .width = 1000, .data = row}};
    struct rlimit old, tight;
    assert_int_equal(trit_runlog_create(file, "{}", &log), TRIT_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = 3 << 20;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    trit_status status = TRIT_OK;
    for (; status == TRIT_OK && step < 2000; step++) {
        status = trit_runlog_record(log, "train", 2, field);
        if (status == TRIT_OK) status = trit_runlog_commit(log);
    }
    assert_int_equal(status, TRIT_ERR_IO);
    assert_non_null(strstr(trit_last_error(), file));
    assert_int_equal(trit_runlog_close(log), TRIT_ERR_IO);

    char checkpoint[128];
    snprintf(checkpoint, sizeof checkpoint, "%s/big.h5", directory);
    const trit_shape four_mib = {1, {1 << 20}};
    trit_tensor *big;
    assert_int_equal(trit_tensor_new(&four_mib, TRIT_ROW_MAJOR, &big), TRIT_OK);
    const trit_named named = {.name = "big", .tensor = big};
    assert_int_equal(trit_checkpoint_save(checkpoint, 1, &named, "{}"), TRIT_ERR_IO);
    strcat(checkpoint, ".tmp");
    assert_int_not_equal(access(checkpoint, F_OK), 0);
    trit_tensor_release(big);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

static void a_refused_record_leaves_the_log_usable(void **state) {
    (void)state;
    trit_runlog *log;
    const double step = 1, loss = 0.5, row[2] = {1, 2};
    trit_field field[2] = {{.name = "step", .data = &step}, {.name = "loss", .data = &loss}};
    assert_int_equal(trit_runlog_create(file, "{}", &log), TRIT_OK);
    assert_int_equal(trit_runlog_record(log, "train", 2, field), TRIT_OK);
    field[1] = (trit_field){.name = "loss", .width = 2, .data = row};
    assert_int_equal(trit_runlog_record(log, "train", 2, field), TRIT_ERR_SHAPE);
    field[1] = (trit_field){.name = "bad/name", .data = &loss};
    assert_int_equal(trit_runlog_record(log, "fresh", 2, field), TRIT_ERR_ARG);
    field[1] = (trit_field){.name = "loss", .data = &loss};
    assert_int_equal(trit_runlog_record(log, "train", 2, field), TRIT_OK);
    assert_int_equal(trit_runlog_record(log, "fresh", 2, field), TRIT_OK);
    trit_h5_info info;
    assert_int_equal(trit_h5_describe(trit_runlog_file(log), "train/loss", NULL, &info), TRIT_OK);
    assert_int_equal(info.count, 2);
    assert_true(trit_runlog_cost(log) > 0 && trit_runlog_cost(log) <= trit_runlog_elapsed(log));
    assert_int_equal(trit_runlog_close(log), TRIT_OK);
}

int main(void) {
    if (trit_init() != TRIT_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back),
        cmocka_unit_test(a_tensor_keeps_its_values_in_any_layout),
        cmocka_unit_test(a_series_grows_and_is_cut),
        cmocka_unit_test(a_graft_is_seen_whole_or_not_at_all),
        cmocka_unit_test(failures_are_one_sentence),
        cmocka_unit_test(a_lock_outlives_nothing_but_its_owner),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(a_refused_record_leaves_the_log_usable),
    };
    return cmocka_run_group_tests_name("h5", tests, make_directory, remove_directory);
}
