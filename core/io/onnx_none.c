/*
 * onnx_none.c - stands for onnx.c in a build without protobuf-c and onnx.proto.
 */
#include "trit/onnx.h"

static trit_status absent(void) {
    return trit_fail(TRIT_ERR_UNSUPPORTED,
                     "onnx: this build cannot write it; install protobuf-c-compiler, "
                     "libprotobuf-c-dev and libonnx-dev, then build again");
}

trit_status trit_onnx_new(int64_t ir_version, int64_t opset, const char *name, trit_onnx **out) {
    (void)ir_version, (void)opset, (void)name, (void)out;
    return absent();
}

void trit_onnx_free(trit_onnx *o) { (void)o; }

trit_status trit_onnx_value(trit_onnx *o, bool output, const char *name, int ndim,
                            const int64_t *dim) {
    (void)o, (void)output, (void)name, (void)ndim, (void)dim;
    return absent();
}

trit_status trit_onnx_tensor(trit_onnx *o, const char *name, int type, int ndim, const int64_t *dim,
                             const void *bytes, size_t n) {
    (void)o, (void)name, (void)type, (void)ndim, (void)dim, (void)bytes, (void)n;
    return absent();
}

trit_status trit_onnx_node(trit_onnx *o, const char *op, const char *name) {
    (void)o, (void)op, (void)name;
    return absent();
}

trit_status trit_onnx_operand(trit_onnx *o, bool output, const char *name) {
    (void)o, (void)output, (void)name;
    return absent();
}

trit_status trit_onnx_int(trit_onnx *o, const char *name, int64_t value) {
    (void)o, (void)name, (void)value;
    return absent();
}

trit_status trit_onnx_float(trit_onnx *o, const char *name, float value) {
    (void)o, (void)name, (void)value;
    return absent();
}

trit_status trit_onnx_ints(trit_onnx *o, const char *name, int n, const int64_t *value) {
    (void)o, (void)name, (void)n, (void)value;
    return absent();
}

trit_status trit_onnx_encode(trit_onnx *o, const void **bytes, size_t *n) {
    (void)o, (void)bytes, (void)n;
    return absent();
}
