/* mills.h - the inverse Mills ratio and its relatives, exact to double precision. */
#ifndef TRIT_QUANT_MILLS_H
#define TRIT_QUANT_MILLS_H

#include "trit/quant.h"

/* ln Q(z), Q the upper tail of the standard normal; no underflow for large z. */
double trit_log_tail(double z);

#endif
