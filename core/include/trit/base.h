/*
 * base.h - what every layer stands on: status and sentence, memory, threads,
 * random numbers, processor, typed parameters.
 *
 * Contracts
 *   errors     A function that can fail returns trit_status.  On failure it has
 *              called trit_fail() once, where the numbers are known, and has
 *              released what it took; its caller passes the status on.
 *   ownership  `new`, `view`, `clone` and `retain` add a reference; nothing else.
 *   threads    trit_parallel() is the only way to use more than one core.  Work is
 *              cut into units by the problem's size, never by the thread count, so
 *              results have the same bits for any number of threads.
 */
#ifndef TRIT_BASE_H
#define TRIT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRIT_VERSION "0.1.0"

/* ------------------------------------------------------------------ errors */

typedef enum {
    TRIT_OK = 0,
    TRIT_ERR_ARG,         /* a value outside its range, an unknown name          */
    TRIT_ERR_SHAPE,       /* operands whose shapes do not fit                    */
    TRIT_ERR_MEM,         /* an allocation failed                                */
    TRIT_ERR_IO,          /* a file is missing, damaged or cannot be written     */
    TRIT_ERR_STATE,       /* the object is closed, released, or in the wrong mode*/
    TRIT_ERR_UNSUPPORTED, /* asked for something this build or op does not do    */
} trit_status;

/* Store one sentence in this thread's buffer (no allocation) and return `status`. */
trit_status trit_fail(trit_status status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "where: " before the stored sentence; returns `status` unchanged. */
trit_status trit_fail_within(trit_status status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The sentence of the last failure on this thread; never NULL. */
const char *trit_last_error(void);

/* Pass a failure on to the caller. */
#define TRIT_TRY(call)                                                                             \
    do {                                                                                           \
        trit_status trit_try_ = (call);                                                            \
        if (trit_try_ != TRIT_OK) return trit_try_;                                                \
    } while (0)

/* ------------------------------------------------------------------ memory */

/*
 * 64-byte aligned memory from a caching arena: freed blocks are kept by size
 * and handed out again, so a training loop takes no page faults after its first
 * step; blocks of 2 MiB and more ask for huge pages.  NULL (with a sentence) when
 * the system refuses.  The content is undefined.
 */
void *trit_alloc(size_t bytes);
void trit_free(void *block, size_t bytes); /* `bytes` as given to trit_alloc; NULL is fine */

typedef struct {
    size_t live;   /* bytes handed out now                */
    size_t peak;   /* most bytes ever handed out at once  */
    size_t cached; /* bytes kept for reuse                */
} trit_mem_stats;

trit_mem_stats trit_mem_query(void);
void trit_mem_trim(void);            /* give cached blocks back to the system */
void trit_mem_fail_after(int64_t n); /* tests: the n-th allocation from now fails once; < 0 = off */

/* ----------------------------------------------------------------- threads */

/* One unit of work.  `worker` is 0 .. trit_threads()-1 and only selects scratch. */
typedef void (*trit_work)(void *context, int64_t unit, int worker);

/* Threads that trit_parallel uses, the caller's included.  Default: the affinity mask
 * (TRIT_THREADS, then OMP_NUM_THREADS override it).  Every thread runs with
 * flush-to-zero and denormals-are-zero.  Not while another thread computes. */
trit_status trit_set_threads(int threads);
int trit_threads(void);

/* Run work(context, u, worker) for u = 0 .. units-1, handed out dynamically; returns when all
 * are done.  Nested calls run serially.  `work` cannot fail: check before, report after.  Called
 * by one thread at a time: the script's, or whoever has its turn (infer.h); not by loaders. */
void trit_parallel(int64_t units, trit_work work, void *context);

/* At least `bytes` of scratch for every worker, 64-byte aligned, kept until the next larger
 * request.  Reserve before trit_parallel, take inside it.  One user at a time: the innermost
 * kernel; its content does not survive the next reserve.  Inside of trit_parallel it cannot grow:
 * others use theirs (TRIT_ERR_STATE). */
trit_status trit_scratch_reserve(size_t bytes);
void *trit_scratch(int worker);

void trit_flush_denormals(void); /* set FTZ and DAZ in the calling thread */

/* --------------------------------------------------------------- processor */

typedef enum { TRIT_ISA_GENERIC = 0, TRIT_ISA_AVX2, TRIT_ISA_AVX512 } trit_isa;

/* The level kernels are chosen for: the best that processor and system support, capped by
 * TRIT_ISA=generic|avx2|avx512 (trit_init fails on an unknown or unsupported value). */
trit_isa trit_isa_level(void);
const char *trit_isa_name(trit_isa level);
trit_status trit_isa_force(trit_isa level); /* tests and benchmarks */
bool trit_cpu_has_vnni(void);
const char *trit_cpu_line(void); /* model name, one line */

/* Read the environment, choose kernels, start the pool.  Idempotent. */
trit_status trit_init(void);

/* ----------------------------------------------------------------- profile */

/*
 * Seconds and calls by name and pass: 'f' forward, 'b' backward, and of convolutions also 'd' data
 * gradient, 'w' weight gradient, 'j' both jointly, which are part of their 'b'.  For benchmarks;
 * off by default.
 */
typedef struct {
    char name[40]; /* of an op */
    char pass;
    int64_t calls;
    double seconds;
} trit_profile_entry;

void trit_profile_start(void); /* from zero */
void trit_profile_stop(void);
double trit_profile_begin(void);
void trit_profile_end(double began, const char *name, char pass);
const trit_profile_entry *trit_profile_entries(int *n); /* valid until the next start */

/* ---------------------------------------------------------- random numbers */

/*
 * Philox 4x32-10 (Salmon et al. 2011, Random123) as a pure function of
 * (seed, stream, index): no state, hence independent of threads and order.
 */
typedef enum {
    TRIT_STREAM_USER = 0,
    TRIT_STREAM_INIT,    /* weight initialisation: index = element              */
    TRIT_STREAM_SHUFFLE, /* order of samples: index = (epoch, sample)           */
    TRIT_STREAM_AUGMENT, /* augmentation: index = (epoch, sample), lane = draw  */
    TRIT_STREAM_DROPOUT, /* dropout: index = (call, element)                    */
    TRIT_STREAM_QUANT,   /* stochastic rounding                                 */
    TRIT_STREAM_DATA,    /* generated data sets: index = image                  */
    TRIT_STREAM_STATS,   /* subsamples of statistics                            */
    TRIT_STREAM_SWEEP,   /* points of a sweep: index = point, lane = parameter  */
} trit_stream;

/* `index` and `lane` together name the draw; four words come out. */
void trit_rng(uint64_t seed, uint32_t stream, uint64_t index, uint32_t lane, uint32_t out[4]);
double trit_rng_uniform(uint64_t seed, uint32_t stream, uint64_t index, uint32_t lane); /* [0,1) */
double trit_rng_normal(uint64_t seed, uint32_t stream, uint64_t index, uint32_t lane);
void trit_rng_fill_uniform(uint64_t seed, uint32_t stream, float lo, float hi, float *x, int64_t n);
void trit_rng_fill_normal(uint64_t seed, uint32_t stream, float mean, float std, float *x,
                          int64_t n);
/* Normal without what lies further than `cut` (>= 0.1) standard deviations from the mean. */
void trit_rng_fill_truncated(uint64_t seed, uint32_t stream, float mean, float std, double cut,
                             float *x, int64_t n);
/* A permutation of 0..n-1 (Fisher-Yates), fixed by (seed, stream, index). */
void trit_rng_permutation(uint64_t seed, uint32_t stream, uint64_t index, uint32_t *perm,
                          uint32_t n);

double trit_normal_cdf(double z);      /* P(x <= z), x ~ N(0,1) */
double trit_normal_quantile(double p); /* its inverse, 0 < p < 1, relative error about 1e-16 */

/* ------------------------------------------------------------ fingerprints */

#define TRIT_HASH_CHARS 32

/* XXH3-128 of n bytes as 32 hexadecimal digits, the same on every machine. */
void trit_hash_hex(const void *bytes, size_t n, char hex[TRIT_HASH_CHARS + 1]);

/* ------------------------------------------------------- typed parameters */

#define TRIT_MAX_PARAMS 16 /* parameters of one descriptor   */
#define TRIT_MAX_LEN    16 /* numbers of one list parameter  */

/*
 * A named option of an op, quantizer or optimizer.  Everything outside reads this row: the Lua
 * argument check, help, sweep axes, the run file.
 *
 *   choices  "mean|zero": names only, value = index;  with `number` set, named special values
 *            beside plain numbers, "none=inf|twn=-1".  NULL: a plain number.
 *   integer  only whole numbers (named values apart).
 *   len      0 or 1: one number.  k > 1: a list of up to k numbers; one number stands for all
 *            k unless `list` is set (then any count up to k is kept as given).
 */
typedef struct {
    const char *name;
    double def;
    double min, max;
    const char *choices;
    bool number;
    bool integer;
    int len;
    bool list;
    bool required;
    const char *doc;
} trit_param;

typedef struct {
    double v[TRIT_MAX_PARAMS][TRIT_MAX_LEN];
    int n[TRIT_MAX_PARAMS]; /* how many numbers were given */
} trit_args;

#define TRIT_BOOL "false=0|true=1"

int trit_param_count(const trit_param *table);                  /* rows before {0} */
int trit_param_find(const trit_param *table, const char *name); /* row or -1       */
void trit_args_default(const trit_param *table, trit_args *args);
/* Set one value (at position `at` of a list) after checking the range. */
trit_status trit_args_set(const char *owner, const trit_param *table, trit_args *args, int row,
                          int at, double value);
/* Set by name of a choice ("zero", "none", "true"). */
trit_status trit_args_set_name(const char *owner, const trit_param *table, trit_args *args, int row,
                               const char *choice);
/* A choice's name for a value; NULL when the value is a plain number. */
const char *trit_param_choice(const trit_param *row, double value, char *buffer, size_t size);

/* An example call; tests and benchmarks iterate these.  shapes: "[2,3,8,8];[4,3,3,3]", a suffix
 * after a shape: T = transposed in memory, L = channels-last, I = class labels, P = positive,
 * B = 0 or 1; an empty place is an operand not given; numbers of a list are joined by `;`;
 * options: "stride=2,padding=1" in the words of the parameter table. */
typedef struct {
    const char *shapes;
    const char *options;
} trit_case;

#endif
