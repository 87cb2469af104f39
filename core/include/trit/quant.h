/*
 * quant.h - one descriptor per weight quantizer.
 *
 * A quantizer sees a weight tensor as `rows` of `len` numbers: one row per layer, or one row
 * per output filter (granularity).  Forward turns latent weights w into w' and leaves the
 * ternary codes and scales; backward turns dL/dw' into dL/dw and the gradients of the trainable
 * parameters.  Nothing here knows of tensors with gradients or of Lua.
 */
#ifndef TRIT_QUANT_H
#define TRIT_QUANT_H

#include "trit/tensor.h"

#define TRIT_MAX_LEARN 3 /* trained and kept tensors of one quantizer */
#define TRIT_MAX_TERMS 8 /* terms summed: residual expansion, binary bases, bits */

/* Element i of row r stands at  r * row_stride + i * step. */
typedef struct {
    int64_t rows, len, row_stride, step;
} trit_rows;

/* Rows of a gapless tensor: 1 x n (per layer), or dim[0] x n/dim[0] (per filter). */
trit_rows trit_rows_of(const trit_tensor *w, bool per_filter);

typedef struct {
    const char *name; /* "delta", "wp" */
    const char *doc;
    double lr_scale; /* of the group's learning rate; 1 = as given */
    bool decay;      /* weight decay applies by default */
    bool threshold;  /* belongs to the threshold group (its own optimizer) */
    bool per_term;   /* shape [rows, terms]; otherwise [rows] */
    bool per_weight; /* shape of the weights */
    bool per_level;  /* shape [rows, levels] */
    bool latent;     /* per_weight: trained weights beside c->w, under the same `ste` */
    bool state;      /* no gradient: kept and saved with the model; forward in training writes it */
} trit_learn;

/* One call's working set.  Arrays of rows*terms are indexed [row*terms + term]. */
typedef struct {
    const struct trit_quantizer *quantizer;
    trit_args args;
    trit_rows rows;
    int terms;                    /* 1, or the expansion's */
    const float *w;               /* latent weights */
    float *learn[TRIT_MAX_LEARN]; /* forward writes only those marked `state` */
    bool same;                    /* as the last forward's: statistics in `cache` stand */
    bool training;                /* the layer trains: draws are made, states move on */
    double progress;              /* share of the training that is over, for what is scheduled */
    uint32_t salt;                /* number of the layer: tells the draws of layers apart */
    const float *noise;           /* [n] uniform draws instead of the generator's (tests); NULL */
    float *wq;                    /* out: effective weights, laid out like w */
    int8_t *codes;    /* out: [terms][n] in w's memory order; -1, 0, +1, or numbers of levels */
    float *scale;     /* out: [rows*terms]; positive side */
    float *scale_neg; /* out: [rows*terms]; magnitude of the negative side (TTQ) */
    double *cache;    /* [rows][TRIT_ROW_CACHE] numbers forward leaves */
    int64_t n;        /* numbers in w */
} trit_quant_call;

#define TRIT_ROW_CACHE 64 /* doubles of cache per row: room for 8 per term */

/* What stands in a row's cache first, for logging; NAN where the method has none. */
enum {
    TRIT_ROW_MU = 0,
    TRIT_ROW_SIGMA = 1,
    TRIT_ROW_CENTER = 2,
    TRIT_ROW_DELTA = 3,                              /* +term; the cuts are at center -+ delta */
    TRIT_ROW_CLIP = TRIT_ROW_DELTA + TRIT_MAX_TERMS, /* +term; 1 = threshold at its upper limit */
    TRIT_ROW_MEAN_ABS = TRIT_ROW_CLIP + TRIT_MAX_TERMS,
    TRIT_ROW_MAX_ABS,
    TRIT_ROW_FREE = 24,
};

/* Properties that the driver of the property tests checks on random and special weights. */
enum {
    TRIT_PROP_ODD = 1,        /* q(-w) = -q(w), ties apart                       */
    TRIT_PROP_SCALE = 2,      /* q(2w) = 2 q(w) with parameters reset from 2w    */
    TRIT_PROP_PERMUTE = 4,    /* permuting a row permutes its codes              */
    TRIT_PROP_MONOTONE = 8,   /* codes are a non-decreasing function of w        */
    TRIT_PROP_ODD_CODES = 16, /* codes(-w) = -codes(w), ties apart               */
    TRIT_PROP_CODED = 32,     /* w' is the sum over terms of the values of the codes */
    TRIT_PROP_BINARY = 64,    /* no level is 0: q(0) need not be 0                */
    TRIT_PROP_PLACED = 128,   /* draws depend on a weight's place in memory       */
};

/* One weight's place: number in memory order, row, term, and the code it has. */
typedef struct {
    int64_t i, row;
    int term, code;
} trit_at;

typedef struct trit_quantizer {
    const char *name;
    const char *doc; /* sentence, equation with source, edge rules, options */
    const trit_param *params;
    const trit_learn *learn; /* ends with {0}; NULL = nothing to train */
    unsigned properties;
    unsigned (*properties_of)(const trit_args *args);   /* NULL = properties */
    double (*bits)(const trit_args *args);              /* per weight; NULL = 2 a term */
    int (*levels)(const trit_args *args);               /* for per_level */
    int (*terms)(const trit_args *args);                /* NULL = 1 */
    bool (*learn_decays)(const trit_args *args, int k); /* NULL = learn[k].decay */
    double (*grad_limit)(const trit_args *args,
                         int k);                 /* optimizers clamp to +- this; NULL = none */
    trit_status (*check)(const trit_args *args); /* options that exclude each other; NULL */
    trit_status (*reset)(const trit_quant_call *c,
                         float *const learn[TRIT_MAX_LEARN]); /* from c->w; NULL = none */
    trit_status (*forward)(trit_quant_call *c);
    /* g = dL/dw'.  dw or any dlearn may be NULL (not wanted); overwritten. */
    trit_status (*backward)(const trit_quant_call *c, const float *g, float *dw,
                            float *const dlearn[TRIT_MAX_LEARN]);
    /* No weight that trains is rounded: `ste` must be own. */
    bool unrounded;
    /* With another `ste` dw holds g times its factor, what passes the rounding: turn that into
     * dL/dw with the rest of the gradient, for the latent weights c->w.  NULL = no rest. */
    trit_status (*beside)(const trit_quant_call *c, const float *g, float *dw);
    /* For methods whose parameters act through the scale alone: G[rows] = dL/dS -> dlearn.
     * NULL = not such a method (or call `scale_only` says no for these options). */
    trit_status (*backward_scale)(const trit_quant_call *c, const double *G,
                                  float *const dlearn[TRIT_MAX_LEARN]);
    bool (*scale_only)(const trit_args *args);
    /* The declared surrogate, for the gradient driver: dL/dw is the derivative of
     *   sum_i g_i integral(w_i) over terms, codes and scales held fixed, plus, where `attached`,
     *   sum_i g_i scale(w) code_i through the scale's statistics, codes and thresholds held. */
    double (*integral)(const trit_quant_call *c, trit_at at, double w);
    bool (*attached)(const trit_args *args); /* NULL = never */
    /* Where that does not say it: the whole surrogate of one row, values of w' as a function of
     * its weights and (not per_weight) trained numbers; c holds the point it is taken at. */
    void (*surrogate)(const trit_quant_call *c, int64_t row, const double *w, const double *learn,
                      double *out);
    /* Value of a code; NULL = scale, 0, -scale_neg. */
    double (*level)(const trit_quant_call *c, trit_at at);
    const trit_case *cases; /* weight shapes and options */
    void *user;             /* of a quantizer made at run time */
} trit_quantizer;

/* Choices that every quantizer has; last rows of their tables. */
#define TRIT_GRANULARITY_PARAM                                                                     \
    { .name = "granularity", .choices = "layer|filter", .doc = "one fit a layer or a filter" }
#define TRIT_STE_PARAM                                                                             \
    {                                                                                              \
        .name = "ste", .choices = "own|identity|clipped|scaled|inv_scaled|annealed",               \
        .doc =                                                                                     \
            "gradient of the latent weights: the method's own, or another (trit_quant_backward)"   \
    }

/* Options that exclude each other, and a `ste` where nothing is rounded. */
trit_status trit_quant_check(const trit_quantizer *q, const trit_args *args);

/*
 * Backward with the option `ste`, S being the row's scale (terms added, mean of both sides):
 *   own         the descriptor's          identity    dL/dw = g       clipped   g [|w| < 1]
 *   scaled      S g                       inv_scaled  g / S (0 where S = 0)
 *   annealed    g (1 - tanh^2(2 p w / S)), p = progress: identity at first, then weights far from
 *               the cuts come to rest
 * It is the factor on the rounding alone: what flows through a scale's statistics or through a
 * function of w before the rounding stays (`beside`), and trained parameters keep their own
 * gradients.
 */
trit_status trit_quant_backward(const trit_quant_call *c, const float *g, float *dw,
                                float *const dlearn[TRIT_MAX_LEARN]);
/* The surrogate that belongs to it; NAN where the descriptor declares none. */
double trit_quant_integral(const trit_quant_call *c, trit_at at, double w);
bool trit_quant_attached(const trit_quantizer *q, const trit_args *args);
bool trit_quant_own_ste(const trit_quantizer *q, const trit_args *args);
unsigned trit_quant_properties(const trit_quantizer *q, const trit_args *args);
double trit_quant_bits(const trit_quantizer *q, const trit_args *args);
double trit_quant_level(const trit_quant_call *c, trit_at at);
/* Uniform in [0,1): draw number `draw` of this layer at memory position i. */
double trit_quant_draw(const trit_quant_call *c, uint64_t seed, uint64_t draw, int64_t i);

/*
 * For quantizers that are two cuts a row: +pos above hi, -neg below lo, 0 between.  Writes wq,
 * codes, scales and what logging looks at.  NAN as `pos` or `neg` asks for the mean of |w| outside
 * the cuts.  Non-finite weights are an error.
 */
typedef struct {
    double lo, hi, pos, neg;
} trit_cut;
trit_status trit_quant_cut(trit_quant_call *c, const trit_cut *cuts); // [rows]

/* The usual straight-through gradients of such a quantizer. */
typedef enum {
    TRIT_STE_IDENTITY = 0, /* dL/dw = g                                  */
    TRIT_STE_CLIP1,        /* g where |w| < 1, else 0                    */
    TRIT_STE_SCALED,       /* pos g, g, neg g on the three zones         */
} trit_ste;
trit_status trit_quant_ste(const trit_quant_call *c, trit_ste kind, const float *g, float *dw);
double trit_quant_ste_integral(trit_ste kind, double w, int code, double pos, double neg);
/* Sums of g over the codes +1 and over the codes -1 of every row: pos[rows], neg[rows]. */
trit_status trit_quant_sides(const trit_quant_call *c, const float *g, double *pos, double *neg);

/*
 * One application: what forward left, kept for backward, logging and packing.  Counted; whoever
 * applies a quantizer makes one, the tape and the script share it.
 */
typedef struct {
    int refs;
    trit_quant_call call;     /* w, learn and wq are borrowed during forward and backward only */
    uint64_t serial, changes; /* of the weights' storage, when forward saw them */
    bool valid;               /* forward succeeded: the outputs hold what it left */
    trit_shape shape;         /* of the weights */
    int64_t stride[TRIT_MAX_DIM];
} trit_quant_state;

trit_status trit_quant_state_new(const trit_quantizer *q, const trit_args *args,
                                 trit_quant_state **out);
trit_quant_state *trit_quant_state_retain(trit_quant_state *s);
void trit_quant_state_release(trit_quant_state *s); /* NULL is fine */
/* Size the outputs for gapless weights `w`, dimension 0 slowest or fastest in memory. */
trit_status trit_quant_state_fit(trit_quant_state *s, const trit_tensor *w);
bool trit_quant_per_filter(const trit_quantizer *q, const trit_args *args);
int trit_quant_terms(const trit_quantizer *q, const trit_args *args);
int trit_quant_learn_count(const trit_quantizer *q); /* how many trainable parameters */
/* Shape of parameter k for weights w. */
trit_shape trit_quant_learn_shape(const trit_quantizer *q, const trit_args *args,
                                  const trit_tensor *w, int k);

/* The inverse Mills ratio lambda(z) = phi(z) / Q(z), exact to double precision, returned with
 * `excess` = lambda - z free of cancellation. */
double trit_mills(double z, double *excess);

/* The registry, generated from the file names core/quant/q_*.c. */
extern const trit_quantizer *const trit_quantizers[];
extern const int trit_quantizers_count;
const trit_quantizer *trit_quantizer_find(const char *name);

#endif
