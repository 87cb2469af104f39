/*
 * h5_read.c - what is in an HDF5 file: kinds and shapes, names, numbers, text, rows, tensors.
 */
#include <stdlib.h>
#include <string.h>

#include "io/h5_lib.h"

/* -------------------------------------------------------------- what is there */

bool trit_h5_exists(hid_t root, const char *path) {
    path = trit_h5_relative(path);
    if (strcmp(path, ".") == 0) return true;
    char part[1024];
    if (strlen(path) >= sizeof part) return false;
    for (const char *end = path; end; end++) {
        end = strchr(end, '/');
        size_t n = end ? (size_t)(end - path) : strlen(path);
        memcpy(part, path, n);
        part[n] = 0;
        if (H5Lexists(root, part, H5P_DEFAULT) <= 0) break;
        if (!end) return H5Oexists_by_name(root, path, H5P_DEFAULT) > 0;
    }
    H5Eclear2(H5E_DEFAULT);
    return false;
}

typedef struct {
    hid_t object, id, type, space; /* id: the attribute, or the object itself */
    bool attr;
} node;

static trit_status node_open(trit_h5 *f, const char *path, const char *attr, id_stack *ids,
                             node *n) {
    trit_h5_quiet();
    if (!trit_h5_exists(f->root, path))
        return trit_fail(TRIT_ERR_IO, "h5: '%s' has no '%s'", f->path, path);
    *n = (node){.object = trit_h5_keep(ids, H5Oopen(f->root, trit_h5_relative(path), H5P_DEFAULT)),
                .attr = attr};
    if (n->object < 0) return trit_h5_fail(f, "cannot open", path);
    if (attr) {
        if (H5Aexists(n->object, attr) <= 0)
            return trit_fail(TRIT_ERR_IO, "h5: '%s' in '%s' has no attribute '%s'", path, f->path,
                             attr);
        n->id = trit_h5_keep(ids, H5Aopen(n->object, attr, H5P_DEFAULT));
        n->type = n->id < 0 ? -1 : trit_h5_keep(ids, H5Aget_type(n->id));
        n->space = n->id < 0 ? -1 : trit_h5_keep(ids, H5Aget_space(n->id));
    } else {
        if (H5Iget_type(n->object) != H5I_DATASET)
            return trit_fail(TRIT_ERR_ARG, "h5: '%s' in '%s' is a group, not a data set", path,
                             f->path);
        n->id = n->object;
        n->type = trit_h5_keep(ids, H5Dget_type(n->id));
        n->space = trit_h5_keep(ids, H5Dget_space(n->id));
    }
    if (n->id < 0 || n->type < 0 || n->space < 0) return trit_h5_fail(f, "cannot open", path);
    return TRIT_OK;
}

static trit_status node_info(trit_h5 *f, const char *path, const node *n, trit_h5_info *info) {
    H5T_class_t class = H5Tget_class(n->type);
    int ndim = H5Sget_simple_extent_ndims(n->space);
    hsize_t dim[H5S_MAX_RANK], most[H5S_MAX_RANK];
    if (ndim < 0 || ndim > TRIT_MAX_DIM || H5Sget_simple_extent_dims(n->space, dim, most) < 0)
        return trit_fail(TRIT_ERR_UNSUPPORTED, "h5: '%s' in '%s' has %d dimensions, at most %d",
                         path, f->path, ndim, TRIT_MAX_DIM);
    bool number = class == H5T_INTEGER || class == H5T_FLOAT || class == H5T_ENUM;
    *info = (trit_h5_info){.kind = number                ? TRIT_H5_NUMBER
                                   : class == H5T_STRING ? TRIT_H5_TEXT
                                                         : TRIT_H5_OTHER,
                           .integer = class == H5T_INTEGER || class == H5T_ENUM,
                           .growing = ndim > 0 && most[0] == H5S_UNLIMITED,
                           .scalar = ndim == 0,
                           .shape.ndim = ndim,
                           .count = H5Sget_simple_extent_npoints(n->space)};
    for (int i = 0; i < ndim; i++) info->shape.dim[i] = (int64_t)dim[i];
    if (class == H5T_ENUM && H5Tget_nmembers(n->type) == 2)
        info->boolean =
            H5Tget_member_index(n->type, "TRUE") >= 0 && H5Tget_member_index(n->type, "FALSE") >= 0;
    return TRIT_OK;
}

trit_status trit_h5_describe(trit_h5 *f, const char *path, const char *attr, trit_h5_info *info) {
    *info = (trit_h5_info){0};
    trit_h5_quiet();
    if (!trit_h5_exists(f->root, path)) return TRIT_OK;
    id_stack ids = {0};
    hid_t object = trit_h5_keep(&ids, H5Oopen(f->root, trit_h5_relative(path), H5P_DEFAULT));
    trit_status status = TRIT_OK;
    node n;
    if (object < 0)
        status = trit_h5_fail(f, "cannot open", path);
    else if (attr && H5Aexists(object, attr) <= 0)
        H5Eclear2(H5E_DEFAULT);
    else if (!attr && H5Iget_type(object) == H5I_GROUP)
        info->kind = TRIT_H5_GROUP;
    else if (!attr && H5Iget_type(object) != H5I_DATASET)
        info->kind = TRIT_H5_OTHER;
    else if ((status = node_open(f, path, attr, &ids, &n)) == TRIT_OK)
        status = node_info(f, path, &n, info);
    trit_h5_drop(&ids);
    return status;
}

void trit_h5_names_free(trit_h5_names *names) {
    for (int64_t i = 0; i < names->n; i++) free(names->s[i]);
    free(names->s);
    *names = (trit_h5_names){0};
}

static herr_t add_name(trit_h5_names *names, const char *name) {
    char *copy = strdup(name);
    char **grown = copy ? realloc(names->s, (size_t)(names->n + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(copy);
        return -1;
    }
    names->s = grown;
    names->s[names->n++] = copy;
    return 0;
}

static herr_t add_link(hid_t g, const char *name, const H5L_info_t *info, void *names) {
    (void)g, (void)info;
    return add_name(names, name);
}

static herr_t add_attr(hid_t g, const char *name, const H5A_info_t *info, void *names) {
    (void)g, (void)info;
    return add_name(names, name);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static trit_status collect(trit_h5 *f, const char *path, bool attrs, trit_h5_names *out) {
    *out = (trit_h5_names){0};
    trit_h5_quiet();
    if (!trit_h5_exists(f->root, path))
        return trit_fail(TRIT_ERR_IO, "h5: '%s' has no '%s'", f->path, path);
    id_stack ids = {0};
    hid_t o = trit_h5_keep(&ids, H5Oopen(f->root, trit_h5_relative(path), H5P_DEFAULT));
    herr_t done = -1;
    if (o >= 0 && attrs) done = H5Aiterate2(o, H5_INDEX_NAME, H5_ITER_INC, NULL, add_attr, out);
    if (o >= 0 && !attrs) done = H5Literate(o, H5_INDEX_NAME, H5_ITER_INC, NULL, add_link, out);
    trit_status status = done < 0 ? trit_h5_fail(f, "cannot list", path) : TRIT_OK;
    trit_h5_drop(&ids);
    if (done < 0) trit_h5_names_free(out);
    if (out->n > 1) qsort(out->s, (size_t)out->n, sizeof *out->s, by_name);
    return status;
}

trit_status trit_h5_list(trit_h5 *f, const char *group, trit_h5_names *out) {
    return collect(f, group, false, out);
}

trit_status trit_h5_attrs(trit_h5 *f, const char *path, trit_h5_names *out) {
    return collect(f, path, true, out);
}

/* -------------------------------------------------------------------- reading */

static herr_t transfer(const node *n, hid_t memory, hid_t slab, hid_t space, void *buffer) {
    return n->attr ? H5Aread(n->id, memory, buffer)
                   : H5Dread(n->id, memory, slab, space, H5P_DEFAULT, buffer);
}

trit_status trit_h5_read(trit_h5 *f, const char *path, const char *attr, trit_h5_type type,
                         void *buffer) {
    id_stack ids = {0};
    node n;
    trit_h5_info info;
    trit_status status = node_open(f, path, attr, &ids, &n);
    if (status == TRIT_OK) status = node_info(f, path, &n, &info);
    if (status == TRIT_OK && info.kind != TRIT_H5_NUMBER)
        status = trit_fail(TRIT_ERR_ARG, "h5: '%s' in '%s' does not hold numbers",
                           attr ? attr : path, f->path);
    if (status == TRIT_OK && info.count > 0 &&
        transfer(&n, trit_h5_memory(type), H5S_ALL, H5S_ALL, buffer) < 0)
        status = trit_h5_fail(f, "cannot read", path);
    trit_h5_drop(&ids);
    return status;
}

trit_status trit_h5_read_rows(trit_h5 *f, const char *path, trit_h5_type type, int64_t first,
                              int64_t count, void *buffer) {
    id_stack ids = {0};
    node n;
    trit_h5_info info;
    trit_status status = node_open(f, path, NULL, &ids, &n);
    if (status == TRIT_OK) status = node_info(f, path, &n, &info);
    if (status == TRIT_OK && (info.kind != TRIT_H5_NUMBER || info.scalar))
        status = trit_fail(TRIT_ERR_ARG, "h5: '%s' in '%s' has no rows of numbers", path, f->path);
    if (status == TRIT_OK && (first < 0 || count < 0 || first + count > info.shape.dim[0]))
        status =
            trit_fail(TRIT_ERR_ARG, "h5: rows %lld..%lld of '%s', which has %lld", (long long)first,
                      (long long)(first + count - 1), path, (long long)info.shape.dim[0]);
    if (status == TRIT_OK && count > 0 && info.count > 0) {
        hsize_t start[TRIT_MAX_DIM] = {(hsize_t)first}, size[TRIT_MAX_DIM];
        for (int i = 0; i < info.shape.ndim; i++) size[i] = (hsize_t)info.shape.dim[i];
        size[0] = (hsize_t)count;
        hid_t memory = trit_h5_keep(&ids, H5Screate_simple(info.shape.ndim, size, NULL));
        if (memory < 0 ||
            H5Sselect_hyperslab(n.space, H5S_SELECT_SET, start, NULL, size, NULL) < 0 ||
            transfer(&n, trit_h5_memory(type), memory, n.space, buffer) < 0)
            status = trit_h5_fail(f, "cannot read", path);
    }
    trit_h5_drop(&ids);
    return status;
}

/* Strings of either kind into `out`. */
static herr_t read_strings(const node *n, int64_t count, id_stack *ids, trit_h5_names *out) {
    bool variable = H5Tis_variable_str(n->type) > 0;
    size_t size = variable ? sizeof(char *) : H5Tget_size(n->type) + 1; /* + the closing zero */
    hid_t memory = trit_h5_keep(ids, H5Tcopy(H5T_C_S1));
    if (memory < 0 || H5Tset_size(memory, variable ? H5T_VARIABLE : size) < 0 ||
        H5Tset_cset(memory, H5Tget_cset(n->type)) < 0)
        return -1;
    char *buffer = calloc((size_t)count + 1, size);
    if (!buffer) return -1;
    herr_t done = count > 0 ? transfer(n, memory, H5S_ALL, H5S_ALL, buffer) : 0;
    for (int64_t i = 0; i < count && done >= 0; i++) {
        const char *s = buffer + (size_t)i * size;
        if (variable) memcpy(&s, s, sizeof s);
        done = add_name(out, s ? s : "");
    }
    if (variable && count > 0) H5Dvlen_reclaim(memory, n->space, H5P_DEFAULT, buffer);
    free(buffer);
    return done;
}

trit_status trit_h5_read_text(trit_h5 *f, const char *path, const char *attr, trit_h5_names *out) {
    *out = (trit_h5_names){0};
    id_stack ids = {0};
    node n;
    trit_h5_info info;
    trit_status status = node_open(f, path, attr, &ids, &n);
    if (status == TRIT_OK) status = node_info(f, path, &n, &info);
    if (status == TRIT_OK && info.kind != TRIT_H5_TEXT)
        status = trit_fail(TRIT_ERR_ARG, "h5: '%s' in '%s' does not hold text", attr ? attr : path,
                           f->path);
    if (status == TRIT_OK && read_strings(&n, info.count, &ids, out) < 0)
        status = trit_h5_fail(f, "cannot read", path);
    trit_h5_drop(&ids);
    if (status != TRIT_OK) trit_h5_names_free(out);
    return status;
}

trit_status trit_h5_read_tensor(trit_h5 *f, const char *path, trit_tensor **out) {
    *out = NULL;
    trit_h5_info info;
    TRIT_TRY(trit_h5_describe(f, path, NULL, &info));
    if (info.kind == TRIT_H5_NONE)
        return trit_fail(TRIT_ERR_IO, "h5: '%s' has no '%s'", f->path, path);
    if (info.kind != TRIT_H5_NUMBER)
        return trit_fail(TRIT_ERR_ARG, "h5: '%s' in '%s' does not hold numbers", path, f->path);
    trit_tensor *t;
    TRIT_TRY(trit_tensor_new(&info.shape, TRIT_ROW_MAJOR, &t));
    trit_status status = trit_h5_read(f, path, NULL, TRIT_H5_F32, t->data);
    if (status != TRIT_OK) {
        trit_tensor_release(t);
        return status;
    }
    *out = t;
    return TRIT_OK;
}
