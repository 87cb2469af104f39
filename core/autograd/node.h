/* node.h - the record of one op application, shared by apply.c and backward.c. */
#ifndef TRIT_AUTOGRAD_NODE_H
#define TRIT_AUTOGRAD_NODE_H

#include "tensor/tensor.h"
#include "trit/op.h"

typedef struct node {
    struct trit_node base;
    int64_t order;                    /* rises with every application */
    int64_t visited;                  /* number of the backward walk that met it last */
    bool spent;                       /* backward has passed; operands and op are gone */
    char name[48];                    /* of the op, for what is said of a spent node */
    trit_call call;                   /* operands as the op saw them (in its layout) */
    trit_tensor *source[TRIT_MAX_IN]; /* operands as given: where gradients go */
    trit_tensor *gy;                  /* gradient of the result, summed while walking */
    unsigned pinned;                  /* bit i: source i is pinned */
    int expected, given;              /* in this walk: gradients that will come, that came */
    bool masked;                      /* gy is past this rectifier already (fuse.c) */
} node;

node *trit_node_new(const trit_call *c, trit_tensor *const *source);
/* Let operands, saved tensors and user data go. */
void trit_node_clear(node *n);
void trit_call_clear(trit_call *c);

#endif
