/*
 * io.h - HDF5 files, the run file a training leaves behind, and checkpoints.
 *
 * core/io/h5.c is the only file that knows the HDF5 library; everything else speaks trit_h5.
 * An object inside a file is named by its path ("train/loss"; a leading slash is ignored, ""
 * is the root) and, where `attr` is not NULL, the attribute of that name on it.
 *
 * Threads: HDF5 is entered by one thread at a time; use a handle from one thread only.
 */
#ifndef TRIT_IO_H
#define TRIT_IO_H

#include "trit/tensor.h"

/* -------------------------------------------------------------------- HDF5 */

typedef struct trit_h5 trit_h5;
typedef struct trit_h5_series trit_h5_series;

/* Element types in memory.  In the file: the same, little-endian. */
typedef enum { TRIT_H5_F32, TRIT_H5_F64, TRIT_H5_I64, TRIT_H5_U8, TRIT_H5_BOOL } trit_h5_type;

typedef enum {
    TRIT_H5_NONE = 0, /* nothing there */
    TRIT_H5_GROUP,
    TRIT_H5_NUMBER, /* integers, floats, booleans, enumerations */
    TRIT_H5_TEXT,   /* strings, fixed or variable length */
    TRIT_H5_OTHER,  /* compounds, references, ...: named, not read */
} trit_h5_kind;

typedef struct {
    trit_h5_kind kind;
    bool integer; /* numbers: an integer type */
    bool boolean; /* numbers: the two-valued enumeration h5py writes for bool */
    bool growing; /* a data set without limit in its first dimension: a series */
    bool scalar;  /* no dimensions at all (shape.ndim = 0) */
    trit_shape shape;
    int64_t count; /* elements */
} trit_h5_info;

/* A list of strings, e.g. the names in a group. */
typedef struct {
    int64_t n;
    char **s;
} trit_h5_names;

void trit_h5_names_free(trit_h5_names *names); /* leaves it empty */

/*
 * mode 'r' reads, 'w' creates or empties, 'a' reads and writes, created if missing.  Files are
 * written in the oldest format every HDF5 reads, with the library's file locking off, so that
 * others can read while we write (trit_lock keeps a second writer out).
 * Errors: TRIT_ERR_IO with the innermost reason HDF5 gives.
 */
trit_status trit_h5_open(const char *path, char mode, trit_h5 **out);
trit_status trit_h5_flush(trit_h5 *f);
trit_status trit_h5_sync(trit_h5 *f); /* flush, then fsync */
trit_status
trit_h5_close(trit_h5 *f); /* flushes; NULL is fine; the handle is gone even on failure */
/* Close after work that ended in `status`: the first failure stays, with its sentence. */
trit_status trit_h5_close_after(trit_h5 *f, trit_status status);
const char *trit_h5_path(const trit_h5 *f);
const char *trit_h5_version(void); /* of the HDF5 library, "1.10.8" */
/* The file got a new name on disk while open (rename of a temporary). */
trit_status trit_h5_renamed(trit_h5 *f, const char *path);

/* What is at path (/ attr)?  A missing object is no error: kind = TRIT_H5_NONE. */
trit_status trit_h5_describe(trit_h5 *f, const char *path, const char *attr, trit_h5_info *info);
trit_status trit_h5_list(trit_h5 *f, const char *group, trit_h5_names *out); /* sorted */
trit_status trit_h5_attrs(trit_h5 *f, const char *path, trit_h5_names *out);

/* All elements, row-major, converted to `type`; `buffer` holds trit_h5_info.count elements. */
trit_status trit_h5_read(trit_h5 *f, const char *path, const char *attr, trit_h5_type type,
                         void *buffer);
/* Rows first .. first+count-1 of a dataset's first dimension. */
trit_status trit_h5_read_rows(trit_h5 *f, const char *path, trit_h5_type type, int64_t first,
                              int64_t count, void *buffer);
trit_status trit_h5_read_text(trit_h5 *f, const char *path, const char *attr, trit_h5_names *out);
trit_status trit_h5_read_tensor(trit_h5 *f, const char *path, trit_tensor **out);

/* Write a dataset or an attribute; groups on the way are created, an old one is replaced.
 * ndim = 0: one scalar. */
trit_status trit_h5_write(trit_h5 *f, const char *path, const char *attr, trit_h5_type type,
                          int ndim, const int64_t *dim, const void *data);
/* n = 0: one scalar string, text[0]. */
trit_status trit_h5_write_text(trit_h5 *f, const char *path, const char *attr, int64_t n,
                               const char *const *text);
trit_status trit_h5_write_tensor(trit_h5 *f, const char *path, const trit_tensor *t);
trit_status trit_h5_group(trit_h5 *f, const char *path); /* create it and its parents */

/*
 * Build a group out of sight and show it in one step: objects written through *out live in a
 * group without a name until trit_h5_graft_end links it at `path` and flushes, so a process
 * killed in between leaves a file without the group, never a broken one.
 */
trit_status trit_h5_graft_begin(trit_h5 *f, const char *path, trit_h5 **out);
trit_status trit_h5_graft_end(trit_h5 *graft, bool keep); /* keep = false: forget it */

/* --- bytes in one piece of the file, for mapping --- */

/* A u8 data set of this shape, its room in the file taken at once, its content not written. */
trit_status trit_h5_reserve(trit_h5 *f, const char *path, int ndim, const int64_t *dim);
/* Where in the file the bytes of a u8 data set start; -1 when they do not lie in one piece.  Valid
 * once the file was flushed or closed. */
trit_status trit_h5_locate(trit_h5 *f, const char *path, int64_t *offset);

/* --- growing data sets: row after row, [T] (width 0) or [T,width] --- */

/* `rows` first rows are written at once; then the data set gets its name. */
trit_status trit_h5_series_new(trit_h5 *f, const char *path, trit_h5_type type, int64_t width,
                               int64_t chunk_rows, int64_t rows, const void *data,
                               trit_h5_series **out);
trit_status trit_h5_series_open(trit_h5 *f, const char *path, trit_h5_series **out);
trit_status trit_h5_series_append(trit_h5_series *s, const void *row);
trit_status trit_h5_series_resize(trit_h5_series *s, int64_t rows); /* cut off the end */
int64_t trit_h5_series_rows(const trit_h5_series *s);
int64_t trit_h5_series_width(const trit_h5_series *s);
trit_h5_type trit_h5_series_type(const trit_h5_series *s); /* TRIT_H5_I64 or TRIT_H5_F64 */
void trit_h5_series_close(trit_h5_series *s);
/* Make `scale` the labels of dimension `dim` of the data set at `path` (HDF5 dimension scale). */
trit_status trit_h5_attach_scale(trit_h5 *f, const char *path, const char *scale, int dim);

/* ------------------------------------------------------------- lock files */

/*
 * One writer per file: flock() on `path`.lock, which holds the owner's process id and host.
 * The kernel drops the lock with the process, so a dead owner's file is simply taken over.
 */
typedef struct trit_lock trit_lock;
trit_status trit_lock_take(const char *path, trit_lock **out);
void trit_lock_release(trit_lock *lock); /* removes the file; NULL is fine */

/* ------------------------------------------------------------ the run file */

/*
 * Layout (contract "The run file"): /config JSON text; groups of parallel series (/train, /val,
 * /layers/NAME, /layers/NAME/hist); /env; root attributes format, format_version, status,
 * status_message, created_utc, hostname.  All series of a group have one row per record: a field
 * missing from a record is NaN (-1 in integer series), and so are the rows before a field's first
 * use.  A reader that meets series of unequal length (a record half-way to disk, a killed writer)
 * takes the shortest.
 */
typedef struct trit_runlog trit_runlog;

typedef struct {
    const char *name;   /* of the series; no slash */
    int64_t width;      /* 0 = one number per record, else a row of `width` */
    const double *data; /* integers are exact up to 2^53 */
    bool fixed; /* no series: `width` numbers written when the group is made, then ignored */
} trit_field;

/* Fails with TRIT_ERR_STATE when another process is writing the same file.  The file appears
 * under its name complete with config and status. */
trit_status trit_runlog_create(const char *path, const char *config_json, trit_runlog **out);
/* How many records a group had at some moment. */
typedef struct {
    const char *group;
    int64_t rows;
} trit_mark;

/* Continue an existing run file.  With marks, each group is cut to its mark and groups without
 * one lose all records; TRIT_ERR_IO when a group has fewer than its mark.  marks = NULL: records
 * with a step beyond `step` are cut off. */
trit_status trit_runlog_resume(const char *path, int64_t step, int n, const trit_mark *marks,
                               trit_runlog **out);

/* Append one row to the series of `group`, creating what is new.  Becomes visible to readers
 * with trit_runlog_commit. */
trit_status trit_runlog_record(trit_runlog *log, const char *group, int n, const trit_field *field);
trit_status trit_runlog_commit(trit_runlog *log);
/* The file behind the log, for data and attributes beside the series. */
trit_h5 *trit_runlog_file(trit_runlog *log);
/* status: "running", "complete", "failed" or "interrupted"; message: a sentence or "". */
trit_status trit_runlog_status(trit_runlog *log, const char *status, const char *message);
trit_status trit_runlog_sync(trit_runlog *log);
double trit_runlog_elapsed(const trit_runlog *log); /* seconds of the run, resumed time included */
double trit_runlog_cost(const trit_runlog *log);    /* seconds spent inside trit_runlog_* */
void trit_runlog_charge(trit_runlog *log, double seconds); /* and on statistics outside it */
trit_status trit_runlog_close(trit_runlog *log);           /* NULL is fine */

/* ------------------------------------------------------------- checkpoints */

/*
 * One file: HDF5 (data sets f32 or u8 under their names, /meta JSON text) followed by a 32-byte
 * trailer: "TRITCKPT", file length without the trailer (u64 little-endian), XXH3-128 of those
 * bytes (canonical order).  HDF5 readers ignore the trailer.
 *
 * Saving writes path.tmp, fsyncs, renames, fsyncs the directory: after a crash `path` is the old
 * file or the new one, never a mixture.
 */
typedef struct {
    const char *name;          /* path in the file: "tensors/fc.weight" */
    const trit_tensor *tensor; /* or NULL: */
    const void *bytes;
    int64_t size;
} trit_named;

trit_status trit_checkpoint_save(const char *path, int n, const trit_named *tensors,
                                 const char *meta_json);
/* Length and checksum right?  TRIT_ERR_IO with a sentence if not. */
trit_status trit_checkpoint_verify(const char *path);
/* Give a file a second name, replacing what was there, atomically (hard link or copy). */
trit_status trit_file_alias(const char *from, const char *to);

/* --------------------------------------------------- number formats of files */

/* Little-endian; F16 is IEEE 754 half, BF16 the upper half of F32. */
typedef enum {
    TRIT_NUM_F32,
    TRIT_NUM_F64,
    TRIT_NUM_F16,
    TRIT_NUM_BF16,
    TRIT_NUM_I8,
    TRIT_NUM_U8,
    TRIT_NUM_I16,
    TRIT_NUM_U16,
    TRIT_NUM_I32,
    TRIT_NUM_U32,
    TRIT_NUM_I64,
    TRIT_NUM_U64,
    TRIT_NUM_BOOL,
} trit_num;

bool trit_num_find(const char *name, trit_num *kind); /* "f32", "bf16", "u8", "bool", ... */
size_t trit_num_size(trit_num kind);                  /* bytes of one number */
/* n numbers as float; exact where float can hold them, else rounded. */
void trit_num_decode(trit_num kind, const void *from, int64_t n, float *to);
/* F32, F16, BF16 and I8 only, rounded to nearest even.  TRIT_ERR_UNSUPPORTED for the others. */
trit_status trit_num_encode(trit_num kind, const float *from, int64_t n, void *to);
/* Whole numbers -2 .. 1 in two bits each, four in a byte from the low bits, the last byte filled
 * with zeros (ONNX's INT2).  TRIT_ERR_ARG for any other number. */
int64_t trit_num_pack2_size(int64_t n); /* bytes */
trit_status trit_num_pack2(const float *from, int64_t n, void *to);

#endif
