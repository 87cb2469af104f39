/*
 * h5_lib.h - the HDF5 library as core/io/h5*.c see it; the only file that includes hdf5.h.
 *
 * Every id taken in a function goes on a small stack and is closed in reverse on the way out.
 * The library's own error printing is off; a failure becomes one sentence made from the
 * innermost entry of its error stack.
 */
#ifndef TRIT_IO_H5_LIB_H
#define TRIT_IO_H5_LIB_H

#include <hdf5.h>
#include <hdf5_hl.h>

#include "trit/io.h"

struct trit_h5 {
    hid_t root;      /* the file, or the unnamed group of a graft */
    trit_h5 *parent; /* of a graft: where it will be linked */
    char *path;      /* of the file; of a graft: the group's future path */
    bool writable;
    bool unsaved; /* the last write or flush failed: what HDF5 holds is not in the file */
};

enum { TRIT_H5_MAX_IDS = 8 }; /* ids one function holds at a time */

typedef struct {
    hid_t id[TRIT_H5_MAX_IDS];
    int n;
} id_stack;

hid_t trit_h5_keep(id_stack *ids, hid_t id); /* the id itself; a negative one is not kept */
void trit_h5_drop(id_stack *ids);
void trit_h5_quiet(void); /* first call of every function that touches the library */

/* "h5: <what> '<path>' in '<file>': <innermost reason>"; f = NULL leaves the file out. */
trit_status trit_h5_fail(const trit_h5 *f, const char *what, const char *path);
trit_status trit_h5_writable(const trit_h5 *f);
/* A write through `f`, a file or a graft, failed. */
void trit_h5_unsaved(trit_h5 *f);

const char *trit_h5_relative(const char *path); /* without leading slashes; "." for the root */
bool trit_h5_exists(hid_t root, const char *path);
hid_t trit_h5_memory(trit_h5_type type);
hid_t trit_h5_stored(trit_h5_type type, id_stack *ids);
hid_t trit_h5_links(id_stack *ids); /* link creation: groups on the way are made */

#endif
