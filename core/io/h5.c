/*
 * h5.c - HDF5 files: opening, writing, and what every use of the library shares.
 *
 * Written files must be readable at any moment by other processes and after SIGKILL:
 *   - the oldest format (no SWMR flags, no superblock that says "open for writing");
 *   - new data sets and groups are built unlinked, flushed, and only then get a name;
 *   - group nodes and heaps are made large enough that a name rarely splits or moves them, and
 *     space is taken from the file in large blocks, so an append touches little metadata.
 *
 * When the disk is full: closing a data set whose rows cannot be written makes HDF5 1.10 free the
 * data set and keep its id, and the next flush of any file crashes on it.  So after a failed write
 * (`unsaved`) nothing that holds data is closed until a flush succeeds; if none does, the file and
 * its series stay open until the process ends.  Contiguous data sets hold nothing back (no sieve
 * buffer).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/h5_lib.h"

enum {
    GROUP_LEAF_K = 16,       /* a group node holds 2 K = 32 names before it splits */
    GROUP_HEAP_BYTES = 2048, /* room for the names of a group before its heap moves */
    BLOCK_BYTES = 1 << 18,   /* file space is taken in blocks of this size */
};

/* ------------------------------------------------------------ ids and errors */

hid_t trit_h5_keep(id_stack *ids, hid_t id) {
    if (id >= 0) ids->id[ids->n++] = id;
    return id;
}

void trit_h5_drop(id_stack *ids) {
    while (ids->n > 0) H5Idec_ref(ids->id[--ids->n]);
}

/* The error stack's settings belong to the thread.  HDF5's own clean-up at exit would close what
 * trit_h5_close had to leave open. */
void trit_h5_quiet(void) {
    static _Thread_local bool done;
    if (!done) H5dont_atexit(), H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    done = true;
}

void trit_h5_unsaved(trit_h5 *f) {
    while (f->parent) f = f->parent;
    f->unsaved = true;
}

static herr_t innermost(unsigned n, const H5E_error2_t *entry, void *context) {
    if (n == 0) snprintf(context, 256, "%s", entry->desc ? entry->desc : "no reason given");
    return 0;
}

/* HDF5's own words about a failed system call are a list of file, time, buffer: of those the first
 * phrase and the reason stay. */
static void shorten(char why[256]) {
    const char *number = strstr(why, "errno = ");
    const int code = number ? atoi(number + strlen("errno = ")) : 0;
    char *list = strstr(why, ": time = ");
    if (!list) list = strstr(why, ": filename = ");
    if (!list) return;
    *list = 0;
    if (code) snprintf(list, 256 - (size_t)(list - why), ": %s", strerror(code));
}

/* One sentence: what we wanted, and the innermost thing HDF5 says. */
trit_status trit_h5_fail(const trit_h5 *f, const char *what, const char *path) {
    char why[256] = "no reason given";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, why);
    H5Eclear2(H5E_DEFAULT);
    shorten(why);
    return trit_fail(TRIT_ERR_IO, "h5: %s '%s'%s%s%s: %s", what, path, f ? " in '" : "",
                     f ? f->path : "", f ? "'" : "", why);
}

const char *trit_h5_relative(const char *path) {
    while (*path == '/') path++;
    return *path ? path : ".";
}

hid_t trit_h5_memory(trit_h5_type type) {
    switch (type) {
    case TRIT_H5_F32: return H5T_NATIVE_FLOAT;
    case TRIT_H5_F64: return H5T_NATIVE_DOUBLE;
    case TRIT_H5_I64: return H5T_NATIVE_INT64;
    default: return H5T_NATIVE_UINT8;
    }
}

/* h5py's bool: an 8-bit enumeration FALSE, TRUE. */
hid_t trit_h5_stored(trit_h5_type type, id_stack *ids) {
    switch (type) {
    case TRIT_H5_F32: return H5T_IEEE_F32LE;
    case TRIT_H5_F64: return H5T_IEEE_F64LE;
    case TRIT_H5_I64: return H5T_STD_I64LE;
    case TRIT_H5_U8: return H5T_STD_U8LE;
    case TRIT_H5_BOOL: break;
    }
    hid_t e = trit_h5_keep(ids, H5Tenum_create(H5T_STD_I8LE));
    const int8_t no = 0, yes = 1;
    if (e < 0 || H5Tenum_insert(e, "FALSE", &no) < 0 || H5Tenum_insert(e, "TRUE", &yes) < 0)
        return -1;
    return e;
}

static hid_t text_type(id_stack *ids) {
    hid_t t = trit_h5_keep(ids, H5Tcopy(H5T_C_S1));
    if (t < 0 || H5Tset_size(t, H5T_VARIABLE) < 0 || H5Tset_cset(t, H5T_CSET_UTF8) < 0) return -1;
    return t;
}

static hid_t make_space(int ndim, const int64_t *dim, id_stack *ids) {
    hsize_t size[TRIT_MAX_DIM];
    for (int i = 0; i < ndim; i++) size[i] = (hsize_t)dim[i];
    return trit_h5_keep(ids, ndim ? H5Screate_simple(ndim, size, NULL) : H5Screate(H5S_SCALAR));
}

/* ---------------------------------------------------------------------- files */

static hid_t open_file(const char *path, char mode, id_stack *ids) {
    hid_t plist = trit_h5_keep(ids, H5Pcreate(H5P_FILE_ACCESS));
    hid_t create = trit_h5_keep(ids, H5Pcreate(H5P_FILE_CREATE));
    if (plist < 0 || create < 0) return -1;
    if (H5Pset_libver_bounds(plist, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18) < 0 ||
        H5Pset_file_locking(plist, false, true) < 0 ||
        H5Pset_fclose_degree(plist, H5F_CLOSE_STRONG) < 0 ||
        H5Pset_meta_block_size(plist, BLOCK_BYTES) < 0 ||
        H5Pset_small_data_block_size(plist, BLOCK_BYTES) < 0 ||
        H5Pset_sieve_buf_size(plist, 0) < 0 || H5Pset_sym_k(create, 0, GROUP_LEAF_K) < 0 ||
        H5Pset_local_heap_size_hint(create, GROUP_HEAP_BYTES) < 0)
        return -1;
    if (mode == 'w') return H5Fcreate(path, H5F_ACC_TRUNC, create, plist);
    if (mode == 'a' && access(path, F_OK) != 0) return H5Fcreate(path, H5F_ACC_EXCL, create, plist);
    return H5Fopen(path, mode == 'a' ? H5F_ACC_RDWR : H5F_ACC_RDONLY, plist);
}

trit_status trit_h5_open(const char *path, char mode, trit_h5 **out) {
    *out = NULL;
    if (mode != 'r' && mode != 'w' && mode != 'a')
        return trit_fail(TRIT_ERR_ARG, "h5: mode must be r, w or a, not '%c'", mode);
    trit_h5_quiet();
    trit_h5 *f = calloc(1, sizeof *f);
    char *name = strdup(path);
    if (!f || !name) {
        free(f), free(name);
        return trit_fail(TRIT_ERR_MEM, "h5: no memory to open '%s'", path);
    }
    id_stack ids = {0};
    *f = (trit_h5){.root = open_file(path, mode, &ids), .path = name, .writable = mode != 'r'};
    if (f->root < 0) {
        trit_status status =
            mode != 'w' && access(path, F_OK) != 0
                ? trit_fail(TRIT_ERR_IO, "h5: cannot open '%s': %s", path, strerror(errno))
                : trit_h5_fail(NULL, mode == 'w' ? "cannot create" : "cannot open", path);
        trit_h5_drop(&ids);
        free(f), free(name);
        return status;
    }
    trit_h5_drop(&ids);
    *out = f;
    return TRIT_OK;
}

trit_status trit_h5_flush(trit_h5 *f) {
    trit_h5_quiet();
    const bool done = H5Fflush(f->root, H5F_SCOPE_LOCAL) >= 0;
    while (f->parent) f = f->parent;
    f->unsaved = !done;
    return done ? TRIT_OK : trit_h5_fail(NULL, "cannot write", f->path);
}

trit_status trit_h5_sync(trit_h5 *f) {
    TRIT_TRY(trit_h5_flush(f));
    int *fd = NULL;
    if (H5Fget_vfd_handle(f->root, H5P_DEFAULT, (void **)&fd) < 0)
        return trit_h5_fail(NULL, "no file descriptor for", f->path);
    if (fsync(*fd) != 0)
        return trit_fail(TRIT_ERR_IO, "h5: fsync of '%s': %s", f->path, strerror(errno));
    return TRIT_OK;
}

trit_status trit_h5_close(trit_h5 *f) {
    if (!f) return TRIT_OK;
    trit_status status = f->writable ? trit_h5_flush(f) : TRIT_OK;
    if (!f->unsaved && H5Fclose(f->root) < 0) status = trit_h5_fail(NULL, "cannot close", f->path);
    free(f->path);
    free(f);
    return status;
}

trit_status trit_h5_close_after(trit_h5 *f, trit_status status) {
    char why[1024];
    if (status == TRIT_OK) return trit_h5_close(f);
    snprintf(why, sizeof why, "%s", trit_last_error());
    trit_h5_close(f);
    return trit_fail(status, "%s", why);
}

const char *trit_h5_path(const trit_h5 *f) { return f->path; }

const char *trit_h5_version(void) {
    static _Thread_local char text[24];
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    snprintf(text, sizeof text, "%u.%u.%u", major, minor, release);
    return text;
}

trit_status trit_h5_renamed(trit_h5 *f, const char *path) {
    char *name = strdup(path);
    if (!name) return trit_fail(TRIT_ERR_MEM, "h5: no memory to rename '%s'", path);
    free(f->path);
    f->path = name;
    return TRIT_OK;
}

/* -------------------------------------------------------------------- writing */

hid_t trit_h5_links(id_stack *ids) {
    hid_t p = trit_h5_keep(ids, H5Pcreate(H5P_LINK_CREATE));
    return p < 0 || H5Pset_create_intermediate_group(p, 1) < 0 ? -1 : p;
}

static hid_t group_plist(id_stack *ids) {
    hid_t p = trit_h5_keep(ids, H5Pcreate(H5P_GROUP_CREATE));
    return p < 0 || H5Pset_local_heap_size_hint(p, GROUP_HEAP_BYTES) < 0 ? -1 : p;
}

/* The new data set or attribute, ready for its data; -1 on failure. */
static hid_t put(trit_h5 *f, const char *path, const char *attr, hid_t type, hid_t space,
                 id_stack *ids) {
    if (!attr) {
        if (trit_h5_exists(f->root, path) &&
            H5Ldelete(f->root, trit_h5_relative(path), H5P_DEFAULT) < 0)
            return -1;
        hid_t links = trit_h5_links(ids);
        if (links < 0) return -1;
        return trit_h5_keep(ids, H5Dcreate2(f->root, trit_h5_relative(path), type, space, links,
                                            H5P_DEFAULT, H5P_DEFAULT));
    }
    hid_t object = trit_h5_keep(ids, H5Oopen(f->root, trit_h5_relative(path), H5P_DEFAULT));
    if (object < 0) return -1;
    if (H5Aexists(object, attr) > 0 && H5Adelete(object, attr) < 0) return -1;
    return trit_h5_keep(ids, H5Acreate2(object, attr, type, space, H5P_DEFAULT, H5P_DEFAULT));
}

trit_status trit_h5_writable(const trit_h5 *f) {
    trit_h5_quiet();
    if (f->writable) return TRIT_OK;
    return trit_fail(TRIT_ERR_STATE, "h5: '%s' was opened for reading only", f->path);
}

trit_status trit_h5_write(trit_h5 *f, const char *path, const char *attr, trit_h5_type type,
                          int ndim, const int64_t *dim, const void *data) {
    TRIT_TRY(trit_h5_writable(f));
    id_stack ids = {0};
    hid_t stored = trit_h5_stored(type, &ids), space = make_space(ndim, dim, &ids);
    hid_t native = type == TRIT_H5_BOOL ? stored : trit_h5_memory(type);
    hid_t id = stored < 0 || space < 0 ? -1 : put(f, path, attr, stored, space, &ids);
    bool empty = false;
    for (int i = 0; i < ndim; i++) empty |= dim[i] == 0;
    herr_t done = -1;
    if (id >= 0 && empty)
        done = 0;
    else if (id >= 0 && attr)
        done = H5Awrite(id, native, data);
    else if (id >= 0)
        done = H5Dwrite(id, native, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    trit_status status = done < 0 ? trit_h5_fail(f, "cannot write", path) : TRIT_OK;
    if (done < 0) trit_h5_unsaved(f);
    trit_h5_drop(&ids);
    return status;
}

trit_status trit_h5_write_text(trit_h5 *f, const char *path, const char *attr, int64_t n,
                               const char *const *text) {
    TRIT_TRY(trit_h5_writable(f));
    id_stack ids = {0};
    hid_t type = text_type(&ids), space = make_space(n > 0, &n, &ids);
    hid_t id = type < 0 || space < 0 ? -1 : put(f, path, attr, type, space, &ids);
    herr_t done = -1;
    if (id >= 0)
        done = attr ? H5Awrite(id, type, text)
                    : H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text);
    trit_status status = done < 0 ? trit_h5_fail(f, "cannot write", path) : TRIT_OK;
    if (done < 0) trit_h5_unsaved(f);
    trit_h5_drop(&ids);
    return status;
}

trit_status trit_h5_group(trit_h5 *f, const char *path) {
    TRIT_TRY(trit_h5_writable(f));
    if (trit_h5_exists(f->root, path)) return TRIT_OK;
    id_stack ids = {0};
    hid_t links = trit_h5_links(&ids), groups = group_plist(&ids);
    hid_t g = -1;
    if (links >= 0 && groups >= 0)
        g = trit_h5_keep(&ids,
                         H5Gcreate2(f->root, trit_h5_relative(path), links, groups, H5P_DEFAULT));
    trit_status status = g < 0 ? trit_h5_fail(f, "cannot create group", path) : TRIT_OK;
    trit_h5_drop(&ids);
    return status;
}

trit_status trit_h5_write_tensor(trit_h5 *f, const char *path, const trit_tensor *t) {
    trit_tensor *flat;
    TRIT_TRY(trit_tensor_as((trit_tensor *)t, TRIT_ROW_MAJOR, &flat));
    trit_status status =
        trit_h5_write(f, path, NULL, TRIT_H5_F32, t->shape.ndim, t->shape.dim, flat->data);
    trit_tensor_release(flat);
    return status;
}

trit_status trit_h5_graft_begin(trit_h5 *f, const char *path, trit_h5 **out) {
    *out = NULL;
    TRIT_TRY(trit_h5_writable(f));
    trit_h5 *graft = calloc(1, sizeof *graft);
    char *name = strdup(path);
    if (!graft || !name) {
        free(graft), free(name);
        return trit_fail(TRIT_ERR_MEM, "h5: no memory for group '%s'", path);
    }
    id_stack ids = {0};
    hid_t groups = group_plist(&ids);
    hid_t root = groups < 0 ? -1 : H5Gcreate_anon(f->root, groups, H5P_DEFAULT);
    if (root < 0) {
        free(graft), free(name);
        trit_status status = trit_h5_fail(f, "cannot create group", path);
        trit_h5_drop(&ids);
        return status;
    }
    trit_h5_drop(&ids);
    *graft = (trit_h5){.root = root, .parent = f, .path = name, .writable = true};
    *out = graft;
    return TRIT_OK;
}

trit_status trit_h5_graft_end(trit_h5 *graft, bool keep_it) {
    trit_h5 *f = graft->parent;
    id_stack ids = {0};
    trit_status status = keep_it ? trit_h5_flush(graft) : TRIT_OK;
    if (keep_it && status == TRIT_OK) {
        hid_t links = trit_h5_links(&ids);
        if (links < 0 ||
            H5Olink(graft->root, f->root, trit_h5_relative(graft->path), links, H5P_DEFAULT) < 0)
            status = trit_h5_fail(f, "cannot create group", graft->path);
        else
            status = trit_h5_flush(f);
    }
    trit_h5_drop(&ids);
    H5Idec_ref(graft->root);
    free(graft->path);
    free(graft);
    return status;
}
