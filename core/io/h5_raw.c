/*
 * h5_raw.c - data sets whose bytes lie in one piece of the file: made without data, and located, so
 * that large arrays are written and mapped by plain file calls, from any thread.
 */
#include "io/h5_lib.h"

trit_status trit_h5_reserve(trit_h5 *f, const char *path, int ndim, const int64_t *dim) {
    TRIT_TRY(trit_h5_writable(f));
    id_stack ids = {0};
    hsize_t size[TRIT_MAX_DIM];
    for (int i = 0; i < ndim; i++) size[i] = (hsize_t)dim[i];
    hid_t space = trit_h5_keep(&ids, H5Screate_simple(ndim, size, NULL));
    hid_t links = trit_h5_links(&ids), plist = trit_h5_keep(&ids, H5Pcreate(H5P_DATASET_CREATE));
    hid_t id = -1;
    if (space >= 0 && links >= 0 && plist >= 0 &&
        H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER) >= 0)
        id = trit_h5_keep(&ids, H5Dcreate2(f->root, trit_h5_relative(path), H5T_STD_U8LE, space,
                                           links, plist, H5P_DEFAULT));
    trit_status status = id < 0 ? trit_h5_fail(f, "cannot create", path) : TRIT_OK;
    trit_h5_drop(&ids);
    return status;
}

trit_status trit_h5_locate(trit_h5 *f, const char *path, int64_t *offset) {
    trit_h5_quiet();
    id_stack ids = {0};
    *offset = -1;
    hid_t id = trit_h5_keep(&ids, H5Dopen2(f->root, trit_h5_relative(path), H5P_DEFAULT));
    hid_t type = id < 0 ? -1 : trit_h5_keep(&ids, H5Dget_type(id));
    trit_status status = type < 0 ? trit_h5_fail(f, "cannot open", path) : TRIT_OK;
    if (status == TRIT_OK && H5Tequal(type, H5T_STD_U8LE) > 0) {
        haddr_t at = H5Dget_offset(id); /* undefined for chunked layouts */
        if (at != HADDR_UNDEF) *offset = (int64_t)at;
        H5Eclear2(H5E_DEFAULT);
    }
    trit_h5_drop(&ids);
    return status;
}
