/*
 * gradcheck.h - example calls as data, and backward against finite differences.
 *
 * Tests iterate the registry of ops with these; so can anyone who writes an op.
 */
#ifndef TRIT_GRADCHECK_H
#define TRIT_GRADCHECK_H

#include "trit/op.h"

/* The operands and options of one example call, drawn from `seed`. */
typedef struct {
    trit_tensor *in[TRIT_MAX_IN]; /* NULL where the case leaves one out */
    int n_in;
    trit_args args;
} trit_example;

/*
 * Read a case (trit_case in base.h) and draw its operands: uniform in [-1.5, 1.5), P in [0.5, 2),
 * B 0 or 1, I class numbers 1..C with C = dimension 2 of operand 1.  For kinked ops numbers keep
 * kink_gap away from the kinks; where no kink is listed (the derivative jumps where two numbers
 * are equal) they are kink_gap apart from each other.
 * alloc: the example owns its tensors; clear it, also after a failure.
 */
trit_status trit_example_new(const trit_op *op, const trit_case *one, uint64_t seed,
                             trit_example *out);
void trit_example_clear(trit_example *e);
/* "stride=2,padding=1;0" by a parameter table, over its defaults. */
trit_status trit_case_args(const char *owner, const trit_param *table, const char *options,
                           trit_args *args);

typedef struct {
    int compared; /* derivatives compared                                   */
    double worst; /* largest |analytic - numeric| / allowed; at most 1      */
} trit_gradcheck_report;

/*
 * Check one op on one case.
 *
 * L = sum r y in double with random r; along random directions d of every differentiable operand,
 * and along single elements, (L(x + h d) - L(x - h d)) / 2h at h and h/2 is extrapolated to h = 0
 * and compared with sum g d.  Allowed: 5e-4 of |g d| (a wrong term in one of a few thousand
 * elements shows) plus float's rounding of y over h.
 *
 * Also checked: an operand whose gradient is not wanted gets none; what is wanted does not depend
 * on what else is wanted; a second backward gives the same bits (gradients are overwritten, not
 * added to); an op without gradient says so in its name.  Surrogates are checked elsewhere:
 * compared stays 0.
 * errors: TRIT_ERR_STATE with the operand, the direction, both values and the bound.
 */
trit_status trit_gradcheck(const trit_op *op, const trit_case *one, uint64_t seed,
                           trit_gradcheck_report *report);

#endif
