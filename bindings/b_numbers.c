/*
 * b_numbers.c - tensors from and to the bytes of a file.
 *
 *   core.from_bytes(shape, kind, bytes) -> tensor
 *   core.to_bytes(tensor, kind) -> string
 *
 * kind is one of f32 f64 f16 bf16 i8 u8 i16 u16 i32 u32 i64 u64 bool; to_bytes knows f32 f16
 * bf16 i8, and i2: whole numbers -2 .. 1, four in a byte.  Little-endian, row-major.
 */
#include "bind.h"

#include "trit/io.h"

static trit_num check_kind(lua_State *L, int arg, const char *what) {
    trit_num kind;
    const char *name = luaL_checkstring(L, arg);
    if (!trit_num_find(name, &kind)) bind_raise(L, "%s: no number format \"%s\"", what, name);
    return kind;
}

static int l_from_bytes(lua_State *L) {
    trit_shape s;
    trit_tensor *t = NULL;
    size_t length;
    bind_shape(L, 1, "from_bytes", &s);
    const trit_num kind = check_kind(L, 2, "from_bytes");
    const char *bytes = luaL_checklstring(L, 3, &length);
    trit_tensor **box = bind_tensor_box(L);
    bind_check(L, trit_tensor_new(&s, TRIT_ROW_MAJOR, &t));
    bind_tensor_set(L, box, t);
    if ((size_t)trit_numel(t) * trit_num_size(kind) != length)
        bind_raise(L, "from_bytes: %s needs %I bytes, there are %I", TRIT_TEXT(t),
                   (LUAI_UACINT)(trit_numel(t) * (int64_t)trit_num_size(kind)),
                   (LUAI_UACINT)length);
    trit_num_decode(kind, bytes, trit_numel(t), t->data);
    return 1;
}

static int l_to_bytes(lua_State *L) {
    trit_tensor *t = bind_tensor(L, 1), *dense = NULL;
    const bool two = !strcmp(luaL_checkstring(L, 2), "i2");
    const trit_num kind = two ? TRIT_NUM_I8 : check_kind(L, 2, "to_bytes");
    trit_tensor **keep = bind_tensor_box(L);
    bind_check(L, trit_tensor_as(t, TRIT_ROW_MAJOR, &dense));
    *keep = dense;
    const int64_t n = trit_numel(dense);
    const size_t length = two ? (size_t)trit_num_pack2_size(n) : (size_t)n * trit_num_size(kind);
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, length);
    bind_check(L, two ? trit_num_pack2(dense->data, n, to)
                      : trit_num_encode(kind, dense->data, n, to));
    luaL_pushresultsize(&b, length);
    return 1;
}

static const luaL_Reg functions[] = {
    {"from_bytes", l_from_bytes}, {"to_bytes", l_to_bytes}, {NULL, NULL}};

void trit_open_numbers(lua_State *L);
void trit_open_numbers(lua_State *L) { luaL_setfuncs(L, functions, 0); }
