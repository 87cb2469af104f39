/*
 * scope.c - who owns what a module makes.
 *
 * Lua sees a tensor as a few bytes and collects it late; a network's activations cannot wait for
 * that.  Every result made while a scope is open is noted.  At leave, what the module returns
 * moves to the enclosing scope; of the rest, results that backward will need stay until it has
 * passed (backward.c drops them), and so do constants that a recorded call takes; the others are
 * dropped here.
 */
#include "autograd/scope.h"

#include <limits.h>
#include <stdlib.h>

#include "tensor/tensor.h"
#include "trit/op.h"

#define MAX_DEPTH 256
#define NOT_KEPT  INT_MAX

static trit_tensor **noted;
static int64_t count, room;
static int64_t start[MAX_DEPTH + 1]; /* start[d]: first entry of scope d = 1, 2, ... */
static int depth;

bool trit_scope_open(void) { return depth > 0; }

trit_status trit_scope_enter(void) {
    if (depth == MAX_DEPTH)
        return trit_fail(TRIT_ERR_STATE, "module calls are nested more than %d deep", MAX_DEPTH);
    start[++depth] = count;
    return TRIT_OK;
}

void trit_scope_note(trit_tensor *t) {
    if (!depth) return;
    if (count == room) {
        int64_t more = room ? 2 * room : 256;
        trit_tensor **grown = realloc(noted, (size_t)more * sizeof *grown);
        if (!grown) return; /* not noted: the script's handles own it, only later */
        noted = grown;
        room = more;
    }
    t->storage->temporary = true;
    t->storage->kept_to = NOT_KEPT;
    noted[count++] = trit_tensor_retain(t);
}

void trit_scope_keep(trit_tensor *t) {
    if (t->storage->temporary) t->storage->kept_to = depth - 1;
}

void trit_tensor_keep(trit_tensor *t) { t->storage->temporary = false; }

/* The entry moves to the enclosing scope, or out of all of them. */
static void hand_up(trit_tensor *t, int64_t *end) {
    t->storage->kept_to = NOT_KEPT;
    if (depth > 1) {
        noted[(*end)++] = t;
        return;
    }
    t->storage->temporary = false;
    (void)trit_tensor_settle(t); /* for lack of memory it stays pending: the next reader says so */
    trit_tensor_release(t);
}

void trit_scope_leave(void) {
    if (!depth) return;
    int64_t end = start[depth];
    for (int64_t i = start[depth], n = count; i < n; i++) {
        trit_tensor *t = noted[i];
        if (t->storage->temporary && t->storage->kept_to == depth - 1) {
            hand_up(t, &end);
            continue;
        }
        t->storage->left = true;
        if (t->storage->temporary && !t->node && !t->storage->pins && trit_tensor_alive(t))
            trit_tensor_drop(t);
        trit_tensor_release(t);
    }
    count = end;
    depth--;
}
