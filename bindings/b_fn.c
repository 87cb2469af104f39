/*
 * b_fn.c - differentiable functions written in Lua: trit.fn{ forward =, backward = }.
 *
 * The call becomes an op of its own on the tape.  Its user data holds the Lua backward and what
 * forward saved, in the registry; the core only sees function pointers.  A Lua error inside
 * backward is caught here and travels on as a status and a sentence.
 */
#include "bind.h"

typedef struct {
    lua_State *L;        /* the main state: backward runs while a script's call is on it */
    int ref;             /* { backward = f, saved = {...}, name = s } in the registry */
    trit_tensor *result; /* of the Lua forward: the caller's, after forward ours if pinned */
    bool pinned;         /* a module drops what no call recorded: not the memory of y */
    trit_op op;
} lua_function;

static void release(void *user) {
    lua_function *f = user;
    luaL_unref(f->L, LUA_REGISTRYINDEX, f->ref);
    if (f->pinned) {
        trit_tensor_unpin(f->result);
        trit_tensor_release(f->result);
    }
    free(f);
}

static trit_status infer(const trit_call *c, trit_shape *out) {
    (void)c;
    *out = (trit_shape){0};
    return TRIT_OK;
}

/* Forward already ran in Lua; take its result over. */
static trit_status forward(trit_call *c) {
    lua_function *f = c->user;
    TRIT_TRY(trit_detach(f->result, &c->out));
    f->pinned = trit_tensor_pin(f->result);
    if (f->pinned) trit_tensor_retain(f->result);
    return TRIT_OK;
}

/* Collect what the Lua backward returned: one gradient per operand, nil where not wanted. */
static trit_status take_gradients(lua_State *L, trit_call *c, int first, trit_tensor **gx) {
    for (int i = 0; i < c->n_in; i++) {
        if (!c->want[i] || lua_isnil(L, first + i)) continue;
        trit_tensor **box = luaL_testudata(L, first + i, TENSOR_MT);
        if (!box || !*box)
            return trit_fail(
                TRIT_ERR_ARG, "%s: backward must return a tensor for operand %d, got %s",
                c->op->name, i + 1, box ? "a closed one" : luaL_typename(L, first + i));
        if (!trit_tensor_alive(*box))
            return trit_fail(TRIT_ERR_STATE,
                             "%s: the gradient for operand %d, %s, has been released: a module's "
                             "temporary ends with its call; compute it in backward or keep() it",
                             c->op->name, i + 1, TRIT_TEXT(*box));
        gx[i] = trit_tensor_retain(*box);
    }
    return TRIT_OK;
}

typedef struct {
    trit_call *call;
    trit_tensor *gy, **gx;
} backward_call;

static trit_status call_backward(lua_State *L, void *context) {
    const backward_call *b = context;
    const lua_function *f = b->call->user;
    luaL_checkstack(L, b->call->n_in + 4, "backward");
    lua_rawgeti(L, LUA_REGISTRYINDEX, f->ref);
    lua_getfield(L, 1, "backward");
    lua_getfield(L, 1, "saved");
    trit_tensor **box = bind_tensor_box(L);
    bind_tensor_set(L, box, trit_tensor_retain(b->gy));
    lua_call(L, 2, b->call->n_in);
    return take_gradients(L, b->call, 2, b->gx);
}

static trit_status backward(trit_call *c, trit_tensor *gy, trit_tensor **gx) {
    const lua_function *f = c->user;
    return bind_protect(f->L, c->op->name, call_backward, &(backward_call){c, gy, gx});
}

/* core.fn_apply(name, backward, saved, result, x1, x2, ...) -> y with history */
static int l_fn_apply(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    trit_tensor *in[TRIT_MAX_IN], *y = NULL, *result = bind_tensor(L, 4);
    int n = lua_gettop(L) - 4;
    if (n < 1 || n > TRIT_MAX_IN) bind_raise(L, "%s: takes 1 to %d tensors", name, TRIT_MAX_IN);
    for (int i = 0; i < n; i++) in[i] = bind_tensor(L, 5 + i);
    trit_tensor **box = bind_tensor_box(L);
    lua_newtable(L);
    static const char *const fields[] = {NULL, "name", "backward", "saved"};
    for (int i = 1; i <= 3; i++) { /* the name too: op.name lives as long */
        lua_pushvalue(L, i);
        lua_setfield(L, -2, fields[i]);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_pop(L, 1);
    const int ref = luaL_ref(L, LUA_REGISTRYINDEX); /* may raise: C owns nothing yet */
    lua_function *f = calloc(1, sizeof *f);
    if (!f) {
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        return bind_raise(L, "%s: out of memory", name);
    }
    f->L = main;
    f->ref = ref;
    f->result = result;
    f->op = (trit_op){.name = name,
                      .doc = "",
                      .operands = "x...",
                      .strided = true,
                      .infer = infer,
                      .forward = forward,
                      .makes_out = true,
                      .backward = backward,
                      .grad = TRIT_GRAD_SURROGATE};
    bind_check(L, trit_apply(&f->op, in, n, NULL, f, release, &y));
    bind_tensor_set(L, box, y); /* the box is on top: the table went to the registry */
    return 1;
}

static const luaL_Reg functions[] = {{"fn_apply", l_fn_apply}, {NULL, NULL}};

void trit_open_fn(lua_State *L);
void trit_open_fn(lua_State *L) { luaL_setfuncs(L, functions, 0); }
