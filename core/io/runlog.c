/*
 * runlog.c - the run file: groups of parallel growing series, flushed record by record.
 *
 * The file is built as path.tmp and renamed when config, environment and status are in it.  A new
 * group is built with its first record out of sight and linked afterwards (trit_h5_graft), so
 * that there is no moment at which a killed writer leaves a group half made.  Appending goes
 * through every series of the group, `step` last: a reader takes the shortest.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "trit/io.h"

enum {
    RUN_CHUNK = 1024, /* rows per chunk of a series with a record per step or per epoch */
    LAYER_CHUNK = 64, /* of a layer's: one record per epoch */
    WIDE_CHUNK = 16,  /* of a series of rows, such as histogram counts */
    FORMAT_VERSION = 1,
};

typedef struct {
    char *name;
    trit_h5_series *series;
} member;

typedef struct {
    char *path;
    member *member;
    int n;
    int64_t rows;
} group;

struct trit_runlog {
    trit_h5 *file;
    trit_lock *lock;
    group *group;
    int n;
    double began, before, cost; /* seconds: clock at start, run time before a resume, spent here */
};

/* What a series means.  Others are stored as they come, without attributes. */
static const struct {
    const char *name, *units, *description;
    bool integer;
} known[] = {
    {"step", "", "optimizer steps taken since the start of the run", true},
    {"epoch", "", "epoch of the record, counted from 1; fractions are progress in it", false},
    {"wall_time", "s", "seconds since the start of the run, resumed time included", false},
    {"loss", "", "mean loss", false},
    {"lr", "", "learning rate of the weights", false},
    {"top1", "", "share (0..1) of images whose first guess is right", false},
    {"top5", "", "share (0..1) of images with the right class among the first five", false},
    {"counts", "", "weights per bin, exact zeros included: edges[i] <= w < edges[i+1]", true},
    {"edges", "", "bin edges, fixed for the run", false},
    {"zeros", "", "weights that are exactly zero", true},
    {"under", "", "weights below the first edge", true},
    {"over", "", "weights above the last edge", true},
    {"threshold", "", "cut on the weight axis: |w - center| <= threshold becomes zero", false},
    {"center", "", "middle between the two cuts on the weight axis", false},
    {"scale", "", "magnitude of a non-zero quantized weight", false},
    {"mu", "", "mean of the weights", false},
    {"sigma", "", "standard deviation of the weights (divides by n - 1)", false},
    {"occupancy", "", "fractions of codes below, at and above zero", false},
    {"flips", "", "fraction of codes that changed since the record before", false},
    {"shapiro_w", "", "Shapiro-Wilk W of all weights (AS R94)", false},
    {"shapiro_sub_w", "", "mean W of random subsamples", false},
    {"shapiro_sub_p", "", "mean p value of random subsamples", false},
    {"skew", "", "m3 / m2^1.5 of the weights", false},
    {"kurtosis", "", "m4 / m2^2 - 3 of the weights", false},
    {"zeros", "", "share (0..1) of ternary codes that are zero", false}, /* outside histograms */
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static trit_status attr(trit_h5 *f, const char *path, const char *name, const char *text) {
    return trit_h5_write_text(f, path, name, 0, &text);
}

static trit_status attr_int(trit_h5 *f, const char *path, const char *name, int64_t value) {
    return trit_h5_write(f, path, name, TRIT_H5_I64, 0, NULL, &value);
}

static trit_status attr_number(trit_h5 *f, const char *name, double value) {
    return trit_h5_write(f, "", name, TRIT_H5_F64, 0, NULL, &value);
}

static void utc(char *text, size_t size) {
    time_t t = time(NULL);
    struct tm tm;
    strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}

/* ------------------------------------------------------------------ open, close */

static trit_status write_head(trit_h5 *f, const char *config_json) {
    char when[32], host[256] = "";
    utc(when, sizeof when);
    gethostname(host, sizeof host - 1);
    TRIT_TRY(trit_h5_write_text(f, "config", NULL, 0, &config_json));
    TRIT_TRY(attr(f, "config", "description", "every option of the run, JSON"));
    TRIT_TRY(trit_h5_group(f, "layers"));
    TRIT_TRY(attr(f, "layers", "NX_class", "NXcollection"));
    TRIT_TRY(trit_h5_group(f, "env"));
    TRIT_TRY(attr(f, "env", "trit", TRIT_VERSION));
    TRIT_TRY(attr(f, "env", "hdf5", trit_h5_version()));
    TRIT_TRY(attr(f, "env", "compiler", __VERSION__));
    TRIT_TRY(attr(f, "env", "cpu", trit_cpu_line()));
    TRIT_TRY(attr(f, "env", "isa", trit_isa_name(trit_isa_level())));
    TRIT_TRY(attr_int(f, "env", "threads", trit_threads()));
    TRIT_TRY(attr_int(f, "env", "pid", getpid()));
    TRIT_TRY(attr(f, "", "format", "trit run"));
    TRIT_TRY(attr_int(f, "", "format_version", FORMAT_VERSION));
    TRIT_TRY(attr(f, "", "created_utc", when));
    TRIT_TRY(attr(f, "", "hostname", host));
    TRIT_TRY(attr(f, "", "NX_class", "NXentry"));
    TRIT_TRY(attr(f, "", "default", "train"));
    TRIT_TRY(attr(f, "", "status", "running"));
    return attr(f, "", "status_message", "");
}

static trit_status create_file(const char *path, const char *config_json, trit_h5 **out) {
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary)
        return trit_fail(TRIT_ERR_ARG, "runlog: path too long: '%s'", path);
    trit_h5 *f;
    TRIT_TRY(trit_h5_open(temporary, 'w', &f));
    trit_status status = write_head(f, config_json);
    if (status == TRIT_OK) status = trit_h5_flush(f);
    if (status == TRIT_OK && rename(temporary, path) != 0)
        status = trit_fail(TRIT_ERR_IO, "runlog: cannot rename '%s' to '%s'", temporary, path);
    if (status == TRIT_OK) status = trit_h5_renamed(f, path);
    if (status != TRIT_OK) {
        unlink(temporary);
        return trit_h5_close_after(f, status);
    }
    *out = f;
    return TRIT_OK;
}

static trit_status new_log(const char *path, trit_runlog **out) {
    *out = NULL;
    trit_runlog *log = calloc(1, sizeof *log);
    if (!log) return trit_fail(TRIT_ERR_MEM, "runlog: no memory");
    log->began = now();
    trit_status status = trit_lock_take(path, &log->lock);
    if (status != TRIT_OK) {
        free(log);
        return trit_fail_within(status, "runlog");
    }
    *out = log;
    return TRIT_OK;
}

trit_status trit_runlog_create(const char *path, const char *config_json, trit_runlog **out) {
    trit_runlog *log;
    *out = NULL;
    TRIT_TRY(new_log(path, &log));
    trit_status status = create_file(path, config_json, &log->file);
    if (status != TRIT_OK) {
        trit_runlog_close(log);
        return status;
    }
    log->cost = now() - log->began;
    *out = log;
    return TRIT_OK;
}

static void free_group(group *g) {
    for (int i = 0; i < g->n; i++) {
        trit_h5_series_close(g->member[i].series);
        free(g->member[i].name);
    }
    free(g->member);
    free(g->path);
}

trit_status trit_runlog_close(trit_runlog *log) {
    if (!log) return TRIT_OK;
    trit_status status = log->file ? trit_h5_flush(log->file) : TRIT_OK;
    for (int i = 0; i < log->n; i++) free_group(&log->group[i]);
    free(log->group);
    status = trit_h5_close_after(log->file, status);
    trit_lock_release(log->lock);
    free(log);
    return status;
}

/* ----------------------------------------------------------------------- resume */

/* Up to where records stay: a count for each group, or the last step. */
typedef struct {
    int64_t step;
    int n;
    const trit_mark *marks; /* NULL: by step */
} limit;

static int64_t rows_marked(const limit *l, const char *path) {
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->marks[i].group, path) == 0) return l->marks[i].rows;
    return 0;
}

/* How many leading rows of `group`/step are not beyond `step`; all rows without such a series. */
static trit_status rows_until(trit_h5 *f, const char *path, int64_t step, int64_t *rows) {
    char name[1024];
    trit_h5_info info;
    snprintf(name, sizeof name, "%s/step", path);
    *rows = INT64_MAX;
    TRIT_TRY(trit_h5_describe(f, name, NULL, &info));
    if (!info.growing) return TRIT_OK;
    int64_t *steps = malloc((size_t)info.count * sizeof *steps + 1);
    if (!steps) return trit_fail(TRIT_ERR_MEM, "runlog: no memory to read '%s'", name);
    trit_status status = trit_h5_read(f, name, NULL, TRIT_H5_I64, steps);
    for (*rows = 0; status == TRIT_OK && *rows < info.count && steps[*rows] <= step;) ++*rows;
    free(steps);
    return status;
}

static trit_status shorten(trit_h5 *f, const char *path, int64_t rows) {
    trit_h5_series *s;
    TRIT_TRY(trit_h5_series_open(f, path, &s));
    trit_status status = TRIT_OK;
    if (trit_h5_series_rows(s) > rows) status = trit_h5_series_resize(s, rows);
    trit_h5_series_close(s);
    return status;
}

/* A record of which only some series reached the file does not count: the shortest decides. */
static trit_status rows_allowed(trit_h5 *f, const char *path, const trit_h5_names *names,
                                const limit *l, int64_t *rows) {
    trit_h5_info info;
    char name[1024];
    int64_t shortest = INT64_MAX;
    if (l->marks)
        *rows = rows_marked(l, path);
    else
        TRIT_TRY(rows_until(f, path, l->step, rows));
    for (int64_t i = 0; i < names->n; i++) {
        snprintf(name, sizeof name, "%s/%s", path, names->s[i]);
        TRIT_TRY(trit_h5_describe(f, name, NULL, &info));
        if (info.growing && info.shape.dim[0] < shortest) shortest = info.shape.dim[0];
    }
    if (l->marks && shortest < *rows)
        return trit_fail(TRIT_ERR_IO, "runlog: '%s' has %lld records of '%s', %lld are expected",
                         trit_h5_path(f), (long long)(shortest < INT64_MAX ? shortest : 0), path,
                         (long long)*rows);
    if (shortest < *rows) *rows = shortest;
    return TRIT_OK;
}

/* Cut every series in and below a group.  First look (cut = false), so that a refusal changes
 * nothing. */
static trit_status rewind_group(trit_h5 *f, const char *path, const limit *l, bool cut) {
    trit_h5_names names;
    trit_h5_info info;
    char name[1024];
    int64_t rows;
    TRIT_TRY(trit_h5_list(f, path, &names));
    trit_status status = rows_allowed(f, path, &names, l, &rows);
    for (int64_t i = 0; i < names.n && status == TRIT_OK; i++) {
        snprintf(name, sizeof name, "%s%s%s", path, path[0] ? "/" : "", names.s[i]);
        status = trit_h5_describe(f, name, NULL, &info);
        if (status != TRIT_OK) break;
        if (info.growing && cut) status = shorten(f, name, rows);
        if (info.kind == TRIT_H5_GROUP) status = rewind_group(f, name, l, cut);
    }
    trit_h5_names_free(&names);
    return status;
}

static trit_status last_wall_time(trit_h5 *f, double *seconds) {
    trit_h5_info info;
    *seconds = 0;
    TRIT_TRY(trit_h5_describe(f, "train/wall_time", NULL, &info));
    if (!info.growing || info.count < 1) return TRIT_OK;
    return trit_h5_read_rows(f, "train/wall_time", TRIT_H5_F64, info.count - 1, 1, seconds);
}

trit_status trit_runlog_resume(const char *path, int64_t step, int n, const trit_mark *marks,
                               trit_runlog **out) {
    trit_runlog *log;
    const limit l = {step, n, marks};
    *out = NULL;
    TRIT_TRY(new_log(path, &log));
    trit_status status = trit_h5_open(path, 'a', &log->file);
    if (status == TRIT_OK) status = rewind_group(log->file, "", &l, false);
    if (status == TRIT_OK) status = rewind_group(log->file, "", &l, true);
    if (status == TRIT_OK) status = last_wall_time(log->file, &log->before);
    if (status == TRIT_OK) status = trit_runlog_status(log, "running", "");
    if (status != TRIT_OK) {
        trit_runlog_close(log);
        return status;
    }
    log->cost = now() - log->began;
    *out = log;
    return TRIT_OK;
}

/* ----------------------------------------------------------------------- groups */

static trit_status add_member(group *g, const char *name, trit_h5_series *series) {
    char *copy = strdup(name);
    member *grown = copy ? realloc(g->member, (size_t)(g->n + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(copy);
        trit_h5_series_close(series);
        return trit_fail(TRIT_ERR_MEM, "runlog: no memory for series '%s'", name);
    }
    g->member = grown;
    g->member[g->n++] = (member){copy, series};
    return TRIT_OK;
}

static trit_h5_series *find_series(const group *g, const char *name) {
    for (int i = 0; i < g->n; i++)
        if (strcmp(g->member[i].name, name) == 0) return g->member[i].series;
    return NULL;
}

/* All series of a group that is in the file already; g->rows = the shortest. */
static trit_status load_group(trit_runlog *log, group *g) {
    trit_h5_names names;
    TRIT_TRY(trit_h5_list(log->file, g->path, &names));
    trit_status status = TRIT_OK;
    g->rows = INT64_MAX;
    for (int64_t i = 0; i < names.n && status == TRIT_OK; i++) {
        char path[1024];
        trit_h5_info info;
        trit_h5_series *s;
        snprintf(path, sizeof path, "%s/%s", g->path, names.s[i]);
        status = trit_h5_describe(log->file, path, NULL, &info);
        if (status != TRIT_OK || !info.growing) continue;
        status = trit_h5_series_open(log->file, path, &s);
        if (status == TRIT_OK) status = add_member(g, names.s[i], s);
        if (info.shape.dim[0] < g->rows) g->rows = info.shape.dim[0];
    }
    trit_h5_names_free(&names);
    if (g->n == 0) g->rows = 0;
    return status;
}

/* The group of this path among those in use; *fresh: it is not in the file yet. */
static trit_status find_group(trit_runlog *log, const char *path, group **out, bool *fresh) {
    *fresh = false;
    for (int i = 0; i < log->n; i++)
        if (strcmp(log->group[i].path, path) == 0) {
            *out = &log->group[i];
            return TRIT_OK;
        }
    trit_h5_info info;
    TRIT_TRY(trit_h5_describe(log->file, path, NULL, &info));
    group g = {.path = strdup(path)}, *grown = NULL;
    if (g.path) grown = realloc(log->group, (size_t)(log->n + 1) * sizeof *grown);
    if (!grown) {
        free(g.path);
        return trit_fail(TRIT_ERR_MEM, "runlog: no memory for group '%s'", path);
    }
    log->group = grown;
    *fresh = info.kind == TRIT_H5_NONE;
    trit_status status = *fresh ? TRIT_OK : load_group(log, &g);
    if (status != TRIT_OK) {
        free_group(&g);
        return status;
    }
    log->group[log->n] = g;
    *out = &log->group[log->n++];
    return TRIT_OK;
}

static bool is_histogram(const group *g) {
    const size_t length = strlen(g->path);
    return length > 5 && strcmp(g->path + length - 5, "/hist") == 0;
}

/* Row of a series' name; those that count weights are meant in histograms only. */
static int find_known(const group *g, const char *name) {
    for (int i = 0; i < (int)(sizeof known / sizeof *known); i++)
        if (strcmp(known[i].name, name) == 0 &&
            (!known[i].integer || strcmp(name, "step") == 0 || is_histogram(g)))
            return i;
    return -1;
}

static int64_t chunk_of(const group *g) {
    return strncmp(g->path, "layers/", 7) == 0 ? LAYER_CHUNK : RUN_CHUNK;
}

static trit_status describe_series(trit_h5 *f, const group *g, const char *path, const char *name) {
    const int k = find_known(g, name);
    if (k < 0) return TRIT_OK;
    if (known[k].units[0]) TRIT_TRY(attr(f, path, "units", known[k].units));
    return attr(f, path, "description", known[k].description);
}

/* One row as stored: doubles, or int64 with -1 where there is no number. */
static void convert(trit_h5_type type, int64_t n, const double *data, void *row) {
    for (int64_t i = 0; i < n; i++) {
        const double v = data ? data[i] : NAN;
        if (type == TRIT_H5_I64)
            ((int64_t *)row)[i] = isfinite(v) ? (int64_t)v : -1;
        else
            ((double *)row)[i] = v;
    }
}

/* A new series in `f` at `path`, `rows` empty rows and then, if given, the first data. */
static trit_status new_series(trit_h5 *f, const group *g, const char *path, const trit_field *field,
                              int64_t rows, bool with_data, trit_h5_series **out) {
    const int k = find_known(g, field->name);
    const trit_h5_type type = k >= 0 && known[k].integer ? TRIT_H5_I64 : TRIT_H5_F64;
    const int64_t width = field->width ? field->width : 1, total = rows + with_data;
    double *data = malloc((size_t)(total * width) * sizeof *data + 1);
    if (!data) return trit_fail(TRIT_ERR_MEM, "runlog: no memory for series '%s'", path);
    for (int64_t r = 0; r < total; r++)
        convert(type, width, r < rows ? NULL : field->data, data + r * width);
    trit_status status = trit_h5_series_new(
        f, path, type, field->width, field->width ? WIDE_CHUNK : chunk_of(g), total, data, out);
    free(data);
    if (status == TRIT_OK) status = describe_series(f, g, path, field->name);
    return status;
}

/* ---------------------------------------------------------------------- records */

static const trit_field *find_field(int n, const trit_field *field, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(field[i].name, name) == 0) return &field[i];
    return NULL;
}

/* The field a viewer shows first: the most telling one that is there. */
static const char *pick_signal(int n, const trit_field *field) {
    static const char *const first[] = {"counts", "top1", "loss", "threshold"};
    for (int i = 0; i < (int)(sizeof first / sizeof *first); i++)
        if (find_field(n, field, first[i])) return first[i];
    for (int i = 0; i < n; i++)
        if (!field[i].fixed && strcmp(field[i].name, "step") != 0) return field[i].name;
    return NULL;
}

/* Hints by which viewers plot a group at a click (NeXus NXdata), and labels by step. */
static trit_status plot_hints(trit_h5 *f, const group *g, int n, const trit_field *field) {
    const char *signal = pick_signal(n, field), *axes[2] = {"step", NULL};
    if (!signal || !find_field(n, field, "step")) return TRIT_OK;
    for (int i = 0; i < n; i++)
        if (field[i].fixed) axes[1] = field[i].name;
    if (strncmp(g->path, "layers/", 7) == 0 && !is_histogram(g)) {
        TRIT_TRY(attr(f, "", "NX_class", "NXentry"));
        TRIT_TRY(attr(f, "", "default", "hist"));
    } else {
        TRIT_TRY(attr(f, "", "NX_class", "NXdata"));
        TRIT_TRY(attr(f, "", "signal", signal));
        TRIT_TRY(trit_h5_write_text(f, "", "axes", axes[1] ? 2 : 1, axes));
    }
    for (int i = 0; i < n; i++)
        if (!field[i].fixed && strcmp(field[i].name, "step") != 0)
            TRIT_TRY(trit_h5_attach_scale(f, field[i].name, "step", 0));
    return TRIT_OK;
}

/* First record of a group that is not in the file. */
static trit_status graft_group(trit_runlog *log, group *g, int n, const trit_field *field) {
    trit_h5 *graft;
    TRIT_TRY(trit_h5_graft_begin(log->file, g->path, &graft));
    trit_status status = TRIT_OK;
    for (int i = 0; i < n && status == TRIT_OK; i++) {
        trit_h5_series *s = NULL;
        if (field[i].fixed) {
            status = trit_h5_write(graft, field[i].name, NULL, TRIT_H5_F64, 1, &field[i].width,
                                   field[i].data);
            if (status == TRIT_OK) status = describe_series(graft, g, field[i].name, field[i].name);
            continue;
        }
        status = new_series(graft, g, field[i].name, &field[i], 0, true, &s);
        if (status == TRIT_OK) status = add_member(g, field[i].name, s);
    }
    if (status == TRIT_OK) status = plot_hints(graft, g, n, field);
    if (status != TRIT_OK) {
        trit_h5_graft_end(graft, false);
        return status;
    }
    g->rows = 1;
    return trit_h5_graft_end(graft, true);
}

static trit_status check_fields(const group *g, int n, const trit_field *field) {
    for (int i = 0; i < n; i++) {
        const trit_h5_series *s = find_series(g, field[i].name);
        if (!field[i].name[0] || strchr(field[i].name, '/'))
            return trit_fail(TRIT_ERR_ARG, "runlog: '%s' cannot name a series of '%s'",
                             field[i].name, g->path);
        if (s && !field[i].fixed && trit_h5_series_width(s) != field[i].width)
            return trit_fail(TRIT_ERR_SHAPE,
                             "runlog: series '%s' of '%s' has rows of %lld numbers, got %lld",
                             field[i].name, g->path, (long long)trit_h5_series_width(s),
                             (long long)field[i].width);
    }
    return TRIT_OK;
}

static trit_status append(const group *g, trit_h5_series *s, const trit_field *field) {
    const int64_t width = trit_h5_series_width(s) ? trit_h5_series_width(s) : 1;
    double small[16], *row = width <= 16 ? small : malloc((size_t)width * sizeof *row);
    if (!row) return trit_fail(TRIT_ERR_MEM, "runlog: no memory for a row of '%s'", g->path);
    convert(trit_h5_series_type(s), width, field ? field->data : NULL, row);
    trit_status status = TRIT_OK;
    if (trit_h5_series_rows(s) != g->rows) /* a record failed half-way: its rows go */
        status = trit_h5_series_resize(s, g->rows);
    if (status == TRIT_OK) status = trit_h5_series_append(s, row);
    if (row != small) free(row);
    return status;
}

static trit_status append_all(trit_runlog *log, group *g, int n, const trit_field *field) {
    for (int i = 0; i < n; i++) {
        trit_h5_series *s;
        char path[1024];
        if (field[i].fixed || find_series(g, field[i].name)) continue;
        snprintf(path, sizeof path, "%s/%s", g->path, field[i].name);
        TRIT_TRY(new_series(log->file, g, path, &field[i], g->rows, false, &s));
        TRIT_TRY(add_member(g, field[i].name, s));
    }
    trit_h5_series *step = NULL;
    for (int i = 0; i < g->n; i++) {
        if (strcmp(g->member[i].name, "step") == 0)
            step = g->member[i].series;
        else
            TRIT_TRY(append(g, g->member[i].series, find_field(n, field, g->member[i].name)));
    }
    if (step) TRIT_TRY(append(g, step, find_field(n, field, "step")));
    g->rows++;
    return TRIT_OK;
}

trit_status trit_runlog_record(trit_runlog *log, const char *path, int n, const trit_field *field) {
    const double start = now();
    group *g = NULL;
    bool fresh;
    while (*path == '/') path++;
    trit_status status = find_group(log, path, &g, &fresh);
    if (status == TRIT_OK) status = check_fields(g, n, field);
    if (status == TRIT_OK)
        status = fresh ? graft_group(log, g, n, field) : append_all(log, g, n, field);
    if (status != TRIT_OK && fresh && g) { /* never made: forget it */
        free_group(g);
        log->n--;
    }
    log->cost += now() - start;
    return status;
}

trit_status trit_runlog_commit(trit_runlog *log) {
    const double start = now();
    trit_status status = trit_h5_flush(log->file);
    log->cost += now() - start;
    return status;
}

trit_h5 *trit_runlog_file(trit_runlog *log) { return log->file; }

trit_status trit_runlog_status(trit_runlog *log, const char *status, const char *message) {
    const double start = now();
    char when[32];
    utc(when, sizeof when);
    trit_status done = attr(log->file, "", "status", status);
    if (done == TRIT_OK) done = attr(log->file, "", "status_message", message);
    if (done == TRIT_OK) done = attr(log->file, "", "status_utc", when);
    if (done == TRIT_OK) done = attr_number(log->file, "elapsed_seconds", trit_runlog_elapsed(log));
    if (done == TRIT_OK) done = attr_number(log->file, "log_seconds", log->cost);
    if (done == TRIT_OK) done = trit_h5_flush(log->file);
    log->cost += now() - start;
    return done;
}

trit_status trit_runlog_sync(trit_runlog *log) {
    const double start = now();
    trit_status status = trit_h5_sync(log->file);
    log->cost += now() - start;
    return status;
}

double trit_runlog_elapsed(const trit_runlog *log) { return log->before + now() - log->began; }
double trit_runlog_cost(const trit_runlog *log) { return log->cost; }
void trit_runlog_charge(trit_runlog *log, double seconds) { log->cost += seconds; }
