/*
 * op.h - one descriptor per op, one way to apply it, the tape.
 */
#ifndef TRIT_OP_H
#define TRIT_OP_H

#include "trit/rows.h"
#include "trit/tensor.h"

#define TRIT_MAX_IN    16 /* operands of one call         */
#define TRIT_MAX_SAVED 4  /* tensors forward leaves for backward */

struct trit_op;

/* What backward shall do with the rows of operand `operand`'s gradient while they are hot, when it
 * can: set by the tape, `done` by the op (autograd/fuse.c). */
typedef struct {
    int operand;
    trit_take take;
    double *sums; /* [2][C] */
    bool done;
    void *past, *to; /* of the tape: nodes that are passed by, and the one that gets the gradient */
} trit_fusion_plan;

/* One application of an op.  Operands are borrowed while an op function runs; the tape keeps
 * them until backward has passed. */
typedef struct trit_call {
    const struct trit_op *op;
    trit_args args;
    int n_in;
    trit_tensor *in[TRIT_MAX_IN]; /* NULL where an optional operand was not given */
    bool want[TRIT_MAX_IN];       /* gradient wanted for operand i */
    trit_tensor *out;
    trit_tensor *saved[TRIT_MAX_SAVED]; /* owned by the call; forward sets, backward reads */
    bool training;                      /* will backward come?  If not, nothing need be saved */
    trit_fusion_plan *fusion;           /* backward only; NULL: nothing to do along the way */
    void *user;                         /* of the op (a quantizer's state, a Lua function) */
    void (*release_user)(void *user);
} trit_call;

/* How the driver checks backward against finite differences. */
typedef enum {
    TRIT_GRAD_NONE = 0,  /* no gradient: backward through it is an error naming the op */
    TRIT_GRAD_SMOOTH,    /* differentiable everywhere                                  */
    TRIT_GRAD_KINKED,    /* differentiable away from kinks: samples are drawn away from them */
    TRIT_GRAD_SURROGATE, /* a declared replacement; checked by its own rule */
} trit_grad_kind;

typedef struct trit_op {
    const char *name;
    const char *doc;          /* signature, sentence, shapes, equation, errors */
    const char *operands;     /* "x,w,b?": names in order; `?` optional; `...` = any number */
    const trit_param *params; /* ends with {0}; NULL = none */
    unsigned nograd;     /* bit i: operand i never has a gradient (labels, running statistics) */
    trit_layout layout;  /* what 4-D operands and results have in memory */
    bool strided;        /* takes any strides; otherwise operands come gapless in `layout` */
    bool weight_is_hwio; /* operand 1 comes in TRIT_HWIO */
    trit_status (*infer)(const trit_call *c, trit_shape *out);
    trit_status (*forward)(trit_call *c); /* c->out is allocated unless `makes_out` */
    bool makes_out;                       /* forward creates c->out itself (views) */
    /* Fusion, all optional.  `describe`: make c->out a pending tensor instead of computing it, and
     * tell; operands come as they are, pending ones too.  `takes_pending`: bit i, operand i may
     * come pending to forward and backward; `takes_pending_grad`: so may gy.  `takes_rows`: bit i,
     * backward honours c->fusion for operand i.  `rectifies`: gx = gy where y > 0, else 0.
     * `caps`: gx = 0 where x > top, else gy, for x >= 0.
     * `passes`: operands of y's shape get gy itself.  `gradient_sums`: this call's backward sums gy
     * and gy (y - mean) per channel: of which y, with which mean? */
    trit_status (*describe)(trit_call *c, bool *done);
    unsigned takes_pending, takes_rows;
    bool takes_pending_grad, rectifies, passes;
    void (*caps)(const trit_call *c, float *top);
    bool (*gradient_sums)(const trit_call *c, const trit_tensor **y, const float **mean);
    /* Give the gradient of every wanted operand: either fill a tensor from trit_grad_new, or
     * hand on gy itself with trit_grad_pass.  Values are overwritten, the tape adds up. */
    trit_status (*backward)(trit_call *c, trit_tensor *gy, trit_tensor **gx);
    trit_grad_kind grad;
    double kink_gap;     /* KINKED: keep inputs this far from the kinks listed by `kinks` */
    const double *kinks; /* values of x where the derivative jumps; NaN ends the list */
    const trit_case *cases;
} trit_op;

/* The registry, generated from the file names core/ops/op_*.c. */
extern const trit_op *const trit_ops[];
extern const int trit_ops_count;
const trit_op *trit_op_find(const char *name);

/* Apply an op: check, infer, run, record on the tape if a gradient may come.
 * `user` passes to the call (released by release_user with it, also on failure). */
trit_status trit_apply(const trit_op *op, trit_tensor *const *in, int n_in, const trit_args *args,
                       void *user, void (*release_user)(void *), trit_tensor **out);

/* For backward: a tensor like operand i (undefined content) / gy itself as its gradient. */
trit_status trit_grad_new(const trit_call *c, int i, trit_tensor **gx);
void trit_grad_pass(const trit_call *c, int i, trit_tensor *gy, trit_tensor **gx);

/* ---- the tape: one per thread of control, made on demand ---- */

/* Walk back from `y` with dL/dy = gy (NULL: 1, y must have one element).  Leaves get or add to
 * .grad.  The graph behind y is released, also on failure. */
trit_status trit_backward(trit_tensor *y, const trit_tensor *gy);
bool trit_grad_enabled(void);
bool trit_set_grad_enabled(bool on);        /* returns the old setting */
bool trit_needs_grad(const trit_tensor *t); /* a leaf with requires_grad, or made from one */
trit_status trit_detach(const trit_tensor *t, trit_tensor **out); /* same storage, no history */

/*
 * A module's temporaries belong to the tape.  Results made between enter and leave lose their
 * memory as soon as nothing needs it - when backward has passed them, or at leave when no
 * gradient will come - even while script variables still name them.  What the module returns is
 * kept: it moves to the enclosing scope, or, from the outermost one, to the script.
 */
trit_status trit_scope_enter(void);
void trit_scope_keep(trit_tensor *t); /* t outlives the innermost open scope */
void trit_scope_leave(void);
void trit_tensor_keep(trit_tensor *t); /* never a temporary any more */

/* Shared shape rules, each with its sentence. */
trit_status trit_infer_same(const trit_call *c, trit_shape *out);      /* out = in[0] */
trit_status trit_infer_broadcast(const trit_call *c, trit_shape *out); /* numpy's rule on 0 and 1 */
trit_status trit_infer_scalar(const trit_call *c, trit_shape *out);    /* out = {} */

#endif
