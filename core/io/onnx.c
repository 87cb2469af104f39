/*
 * onnx.c - ONNX models by protobuf-c.
 *
 * All messages live in blocks that one list holds, so freeing is one walk and a failure half-way
 * leaves nothing behind.
 */
#include "trit/onnx.h"

#include <stdlib.h>
#include <string.h>

#include "onnx.pb-c.h"

typedef struct block {
    struct block *next;
    max_align_t data[];
} block;

struct trit_onnx {
    block *blocks;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
};

/* Zeroed memory that lives as long as `o`. */
static void *take(trit_onnx *o, size_t bytes) {
    block *b = calloc(1, sizeof *b + bytes);
    if (!b) {
        trit_fail(TRIT_ERR_MEM, "onnx: no memory for %zu bytes", bytes);
        return NULL;
    }
    b->next = o->blocks;
    o->blocks = b;
    return b->data;
}

static void *copy(trit_onnx *o, const void *from, size_t bytes) {
    void *to = take(o, bytes ? bytes : 1);
    if (to && bytes) memcpy(to, from, bytes);
    return to;
}

static char *text(trit_onnx *o, const char *s) { return copy(o, s, strlen(s) + 1); }

/* Append `item` to a list of pointers that protobuf-c sees as (list, n); room doubles. */
static trit_status append(trit_onnx *o, void *list, size_t *n, void *item) {
    void **now;
    memcpy(&now, list, sizeof now);
    if (!item) return TRIT_ERR_MEM;
    if ((*n & (*n - 1)) == 0) { /* 0 or a power of two: full */
        void **room = take(o, (*n ? 2 * *n : 1) * sizeof *room);
        if (!room) return TRIT_ERR_MEM;
        if (*n) memcpy(room, now, *n * sizeof *room);
        memcpy(list, &room, sizeof room);
        now = room;
    }
    now[(*n)++] = item;
    return TRIT_OK;
}

/* A message in its initial state. */
#define NEW(o, Type, initial) copy(o, &(Type)initial, sizeof(Type))

trit_status trit_onnx_new(int64_t ir_version, int64_t opset, const char *name, trit_onnx **out) {
    trit_onnx *o = calloc(1, sizeof *o);
    if (!o) return trit_fail(TRIT_ERR_MEM, "onnx: no memory for a model");
    onnx__model_proto__init(&o->model);
    onnx__graph_proto__init(&o->graph);
    Onnx__OperatorSetIdProto *set =
        NEW(o, Onnx__OperatorSetIdProto, ONNX__OPERATOR_SET_ID_PROTO__INIT);
    o->model.graph = &o->graph;
    o->model.has_ir_version = 1;
    o->model.ir_version = ir_version;
    o->model.producer_name = text(o, "trit");
    o->model.producer_version = text(o, TRIT_VERSION);
    o->graph.name = text(o, name);
    if (set) {
        set->domain = text(o, "");
        set->has_version = 1;
        set->version = opset;
    }
    if (append(o, &o->model.opset_import, &o->model.n_opset_import, set) != TRIT_OK ||
        !o->graph.name || !o->model.producer_name || !o->model.producer_version || !set->domain) {
        trit_onnx_free(o);
        return TRIT_ERR_MEM;
    }
    *out = o;
    return TRIT_OK;
}

void trit_onnx_free(trit_onnx *o) {
    if (!o) return;
    for (block *b = o->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(o);
}

static trit_status add_dimension(trit_onnx *o, Onnx__TensorShapeProto *shape, int64_t d) {
    Onnx__TensorShapeProto__Dimension *dim =
        NEW(o, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
    TRIT_TRY(append(o, &shape->dim, &shape->n_dim, dim));
    if (d >= 0) {
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = d;
        return TRIT_OK;
    }
    dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    dim->dim_param = text(o, "N");
    return dim->dim_param ? TRIT_OK : TRIT_ERR_MEM;
}

trit_status trit_onnx_value(trit_onnx *o, bool output, const char *name, int ndim,
                            const int64_t *dim) {
    Onnx__ValueInfoProto *v = NEW(o, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    Onnx__TypeProto *type = NEW(o, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *tensor =
        NEW(o, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    Onnx__TensorShapeProto *shape = NEW(o, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    if (!v || !type || !tensor || !shape || !(v->name = text(o, name))) return TRIT_ERR_MEM;
    v->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = TRIT_ONNX_FLOAT;
    tensor->shape = shape;
    for (int i = 0; i < ndim; i++) TRIT_TRY(add_dimension(o, shape, dim[i]));
    return output ? append(o, &o->graph.output, &o->graph.n_output, v)
                  : append(o, &o->graph.input, &o->graph.n_input, v);
}

trit_status trit_onnx_tensor(trit_onnx *o, const char *name, int type, int ndim, const int64_t *dim,
                             const void *bytes, size_t n) {
    Onnx__TensorProto *t = NEW(o, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
    if (!t) return TRIT_ERR_MEM;
    t->name = text(o, name);
    t->dims = copy(o, dim, (size_t)ndim * sizeof *dim);
    t->raw_data.data = copy(o, bytes, n);
    if (!t->name || !t->dims || !t->raw_data.data) return TRIT_ERR_MEM;
    t->n_dims = (size_t)ndim;
    t->has_data_type = t->has_raw_data = 1;
    t->data_type = type;
    t->raw_data.len = n;
    return append(o, &o->graph.initializer, &o->graph.n_initializer, t);
}

trit_status trit_onnx_node(trit_onnx *o, const char *op, const char *name) {
    Onnx__NodeProto *node = NEW(o, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    if (!node || !(node->op_type = text(o, op)) || !(node->name = text(o, name)))
        return TRIT_ERR_MEM;
    return append(o, &o->graph.node, &o->graph.n_node, node);
}

/* The node that operands and attributes go to; NULL with a sentence before the first one. */
static Onnx__NodeProto *newest(trit_onnx *o) {
    if (o->graph.n_node) return o->graph.node[o->graph.n_node - 1];
    trit_fail(TRIT_ERR_STATE, "onnx: there is no node yet");
    return NULL;
}

trit_status trit_onnx_operand(trit_onnx *o, bool output, const char *name) {
    Onnx__NodeProto *node = newest(o);
    if (!node) return TRIT_ERR_STATE;
    return output ? append(o, &node->output, &node->n_output, text(o, name))
                  : append(o, &node->input, &node->n_input, text(o, name));
}

/* A new attribute of the newest node, or NULL with a sentence. */
static Onnx__AttributeProto *attribute(trit_onnx *o, const char *name, int type) {
    Onnx__NodeProto *node = newest(o);
    if (!node) return NULL;
    Onnx__AttributeProto *a = NEW(o, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    if (!a || !(a->name = text(o, name))) return NULL;
    a->has_type = 1;
    a->type = (Onnx__AttributeProto__AttributeType)type;
    return append(o, &node->attribute, &node->n_attribute, a) == TRIT_OK ? a : NULL;
}

trit_status trit_onnx_int(trit_onnx *o, const char *name, int64_t value) {
    Onnx__AttributeProto *a = attribute(o, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (!a) return TRIT_ERR_STATE;
    a->has_i = 1;
    a->i = value;
    return TRIT_OK;
}

trit_status trit_onnx_float(trit_onnx *o, const char *name, float value) {
    Onnx__AttributeProto *a = attribute(o, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (!a) return TRIT_ERR_STATE;
    a->has_f = 1;
    a->f = value;
    return TRIT_OK;
}

trit_status trit_onnx_ints(trit_onnx *o, const char *name, int n, const int64_t *value) {
    Onnx__AttributeProto *a = attribute(o, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *ints = copy(o, value, (size_t)n * sizeof *value);
    if (!a || !ints) return TRIT_ERR_STATE;
    a->ints = ints;
    a->n_ints = (size_t)n;
    return TRIT_OK;
}

trit_status trit_onnx_encode(trit_onnx *o, const void **bytes, size_t *n) {
    const size_t size = onnx__model_proto__get_packed_size(&o->model);
    uint8_t *buffer = take(o, size);
    if (!buffer) return TRIT_ERR_MEM;
    *n = onnx__model_proto__pack(&o->model, buffer);
    *bytes = buffer;
    return TRIT_OK;
}
