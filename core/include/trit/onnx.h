/*
 * onnx.h - writing ONNX models: a graph is described piece by piece, then encoded at once.
 *
 * The message formats come from the system's onnx.proto through protobuf-c.  In a build without
 * them trit_onnx_new fails with TRIT_ERR_UNSUPPORTED and names the packages.  Everything handed
 * over is copied.
 */
#ifndef TRIT_ONNX_H
#define TRIT_ONNX_H

#include "trit/base.h"

typedef struct trit_onnx trit_onnx;

/* Element types as ONNX numbers them; INT2 came with IR version 13. */
enum { TRIT_ONNX_FLOAT = 1, TRIT_ONNX_INT8 = 3, TRIT_ONNX_INT64 = 7, TRIT_ONNX_INT2 = 26 };

trit_status trit_onnx_new(int64_t ir_version, int64_t opset, const char *name, trit_onnx **out);
void trit_onnx_free(trit_onnx *o); /* NULL is fine */

/* A float value that goes in or comes out; a negative dimension is free and called N. */
trit_status trit_onnx_value(trit_onnx *o, bool output, const char *name, int ndim,
                            const int64_t *dim);
/* A constant; bytes little-endian, row-major, INT2 four in a byte from the low bits. */
trit_status trit_onnx_tensor(trit_onnx *o, const char *name, int type, int ndim, const int64_t *dim,
                             const void *bytes, size_t n);
/* An operator; operands and attributes are added to the newest one.  Order is execution order. */
trit_status trit_onnx_node(trit_onnx *o, const char *op, const char *name);
trit_status trit_onnx_operand(trit_onnx *o, bool output, const char *name);
trit_status trit_onnx_int(trit_onnx *o, const char *name, int64_t value);
trit_status trit_onnx_float(trit_onnx *o, const char *name, float value);
trit_status trit_onnx_ints(trit_onnx *o, const char *name, int n, const int64_t *value);

/* The encoded model; the bytes live as long as `o`. */
trit_status trit_onnx_encode(trit_onnx *o, const void **bytes, size_t *n);

#endif
