/*
 * h5_series.c - growing data sets in chunks: [T] numbers or [T,width] rows, one row at a time.
 *
 * A series is created unlinked with its first rows in place, flushed, then named: its chunk index
 * exists before anyone can see it, and an append inside a chunk changes only data and the length.
 * No compression: a compressed chunk moves in the file whenever it is rewritten.
 */
#include <stdlib.h>

#include "io/h5_lib.h"

enum { CHUNK_SLOTS = 13 }; /* hash slots of the chunk cache: one chunk of a series is live */

struct trit_h5_series {
    hid_t set;
    trit_h5 *file;
    trit_h5_type type;
    int64_t rows, width;
};

static trit_status write_rows(trit_h5_series *s, int64_t first, int64_t count, const void *data) {
    id_stack ids = {0};
    const int ndim = s->width ? 2 : 1;
    const hsize_t start[2] = {(hsize_t)first, 0}, size[2] = {(hsize_t)count, (hsize_t)s->width};
    hid_t memory = trit_h5_keep(&ids, H5Screate_simple(ndim, size, NULL));
    hid_t space = trit_h5_keep(&ids, H5Dget_space(s->set));
    trit_status status = TRIT_OK;
    if (memory < 0 || space < 0 ||
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
        H5Dwrite(s->set, trit_h5_memory(s->type), memory, space, H5P_DEFAULT, data) < 0)
        status = trit_h5_fail(NULL, "cannot append to a series of", s->file->path);
    if (status != TRIT_OK) trit_h5_unsaved(s->file);
    trit_h5_drop(&ids);
    return status;
}

static hid_t create(const trit_h5 *f, const trit_h5_series *s, int64_t chunk_rows, id_stack *ids) {
    const int ndim = s->width ? 2 : 1;
    const hsize_t size[2] = {(hsize_t)s->rows, (hsize_t)s->width};
    const hsize_t most[2] = {H5S_UNLIMITED, (hsize_t)s->width};
    const hsize_t chunk[2] = {(hsize_t)chunk_rows, (hsize_t)s->width};
    hid_t space = trit_h5_keep(ids, H5Screate_simple(ndim, size, most));
    hid_t plist = trit_h5_keep(ids, H5Pcreate(H5P_DATASET_CREATE));
    hid_t cache = trit_h5_keep(ids, H5Pcreate(H5P_DATASET_ACCESS));
    if (space < 0 || plist < 0 || cache < 0 || H5Pset_chunk(plist, ndim, chunk) < 0 ||
        H5Pset_chunk_cache(cache, CHUNK_SLOTS, H5D_CHUNK_CACHE_NBYTES_DEFAULT,
                           H5D_CHUNK_CACHE_W0_DEFAULT) < 0)
        return -1;
    return H5Dcreate_anon(f->root, trit_h5_stored(s->type, ids), space, plist, cache);
}

trit_status trit_h5_series_new(trit_h5 *f, const char *path, trit_h5_type type, int64_t width,
                               int64_t chunk_rows, int64_t rows, const void *data,
                               trit_h5_series **out) {
    *out = NULL;
    TRIT_TRY(trit_h5_writable(f));
    if (chunk_rows < 1 || rows < 0 || width < 0)
        return trit_fail(TRIT_ERR_ARG, "h5: series '%s': %lld rows of %lld in chunks of %lld", path,
                         (long long)rows, (long long)width, (long long)chunk_rows);
    trit_h5_series *s = calloc(1, sizeof *s);
    if (!s) return trit_fail(TRIT_ERR_MEM, "h5: no memory for series '%s'", path);
    *s = (trit_h5_series){.file = f, .type = type, .rows = rows, .width = width};
    id_stack ids = {0};
    s->set = create(f, s, chunk_rows, &ids);
    trit_status status = s->set < 0 ? trit_h5_fail(f, "cannot create series", path) : TRIT_OK;
    if (status == TRIT_OK && rows > 0) status = write_rows(s, 0, rows, data);
    if (status == TRIT_OK && !f->parent) status = trit_h5_flush(f);
    if (status == TRIT_OK) {
        hid_t links = trit_h5_links(&ids);
        if (links < 0 || H5Olink(s->set, f->root, trit_h5_relative(path), links, H5P_DEFAULT) < 0)
            status = trit_h5_fail(f, "cannot create series", path);
    }
    trit_h5_drop(&ids);
    while (f->parent) f = f->parent; /* a graft's handle ends before its series do */
    s->file = f;
    if (status == TRIT_OK)
        *out = s;
    else
        trit_h5_series_close(s);
    return status;
}

trit_status trit_h5_series_open(trit_h5 *f, const char *path, trit_h5_series **out) {
    *out = NULL;
    trit_h5_info info;
    TRIT_TRY(trit_h5_describe(f, path, NULL, &info));
    if (info.kind != TRIT_H5_NUMBER || !info.growing || info.shape.ndim > 2)
        return trit_fail(TRIT_ERR_IO, "h5: '%s' in '%s' is not a series", path, f->path);
    trit_h5_series *s = calloc(1, sizeof *s);
    if (!s) return trit_fail(TRIT_ERR_MEM, "h5: no memory for series '%s'", path);
    *s = (trit_h5_series){.set = H5Dopen2(f->root, trit_h5_relative(path), H5P_DEFAULT),
                          .file = f,
                          .type = info.integer ? TRIT_H5_I64 : TRIT_H5_F64,
                          .rows = info.shape.dim[0],
                          .width = info.shape.ndim == 2 ? info.shape.dim[1] : 0};
    if (s->set < 0) {
        free(s);
        return trit_h5_fail(f, "cannot open series", path);
    }
    *out = s;
    return TRIT_OK;
}

trit_status trit_h5_series_resize(trit_h5_series *s, int64_t rows) {
    trit_h5_quiet();
    const hsize_t size[2] = {(hsize_t)rows, (hsize_t)s->width};
    if (H5Dset_extent(s->set, size) < 0) {
        trit_h5_unsaved(s->file);
        return trit_h5_fail(NULL, "cannot resize a series of", s->file->path);
    }
    s->rows = rows;
    return TRIT_OK;
}

trit_status trit_h5_series_append(trit_h5_series *s, const void *row) {
    TRIT_TRY(trit_h5_series_resize(s, s->rows + 1));
    return write_rows(s, s->rows - 1, 1, row);
}

int64_t trit_h5_series_rows(const trit_h5_series *s) { return s->rows; }
int64_t trit_h5_series_width(const trit_h5_series *s) { return s->width; }
trit_h5_type trit_h5_series_type(const trit_h5_series *s) { return s->type; }

void trit_h5_series_close(trit_h5_series *s) {
    if (!s) return;
    if (s->set >= 0 && !s->file->unsaved) { /* h5.c says why */
        if (H5Dflush(s->set) >= 0)
            H5Idec_ref(s->set);
        else
            trit_h5_unsaved(s->file);
    }
    free(s);
}

trit_status trit_h5_attach_scale(trit_h5 *f, const char *path, const char *scale, int dim) {
    TRIT_TRY(trit_h5_writable(f));
    id_stack ids = {0};
    hid_t set = trit_h5_keep(&ids, H5Dopen2(f->root, trit_h5_relative(path), H5P_DEFAULT));
    hid_t labels = trit_h5_keep(&ids, H5Dopen2(f->root, trit_h5_relative(scale), H5P_DEFAULT));
    trit_status status = TRIT_OK;
    if (set < 0 || labels < 0 || (H5DSis_scale(labels) <= 0 && H5DSset_scale(labels, scale) < 0) ||
        H5DSattach_scale(set, labels, (unsigned)dim) < 0)
        status = trit_h5_fail(f, "cannot attach a scale to", path);
    trit_h5_drop(&ids);
    return status;
}
