/* scope.h - temporaries of a module's call (autograd only). */
#ifndef TRIT_AUTOGRAD_SCOPE_H
#define TRIT_AUTOGRAD_SCOPE_H
#include "trit/tensor.h"
/* A result was made: it is a temporary of the innermost open scope, if any. */
void trit_scope_note(trit_tensor *t);
bool trit_scope_open(void); /* are we inside a module's call? */
#endif
