/* mills.h - the inverse Mills ratio and its relatives, exact to double precision. */
#ifndef TRIT_QUANT_MILLS_H
#define TRIT_QUANT_MILLS_H

/* lambda(z) = phi(z) / Q(z), returned with `excess` = lambda - z free of cancellation. */
double trit_mills(double z, double *excess);

/* ln Q(z), Q the upper tail of the standard normal; no underflow for large z. */
double trit_log_tail(double z);

#endif
