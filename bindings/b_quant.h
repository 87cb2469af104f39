/* b_quant.h - what the two quantizer bindings share: the list of those defined at run time. */
#ifndef TRIT_B_QUANT_H
#define TRIT_B_QUANT_H

#include "bind.h"
#include "trit/quant.h"

/* In the registry, or defined by a script; NULL if neither. */
const trit_quantizer *bind_quantizer_find(const char *name);
/* The i-th defined by a script, NULL past the last. */
const trit_quantizer *bind_quantizer_defined(int i);

#endif
