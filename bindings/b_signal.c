/*
 * b_signal.c - trit.core.end_on_signals: an exit status instead of a death by a signal.
 */
#include "bind.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t end_status;

static void say(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

/* Only calls that a handler may make; there is nothing to save. */
static void end(int number) {
    say(number == SIGTERM ? "trit: interrupted by SIGTERM\n" : "trit: interrupted by SIGUSR1\n");
    _exit(end_status);
}

/* core.end_on_signals(status): SIGTERM and SIGUSR1 end the process with this status, at once, until
 * somebody else handles them (trit.signals).  Without a status: as asked for before, if it was. */
static int l_end(lua_State *L) {
    struct sigaction action = {.sa_handler = end};
    end_status = (int)luaL_optinteger(L, 1, end_status);
    if (end_status == 0) return 0;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGUSR1, &action, NULL) != 0)
        return luaL_error(L, "end_on_signals: sigaction failed");
    return 0;
}

static const luaL_Reg functions[] = {{"end_on_signals", l_end}, {NULL, NULL}};

void trit_open_signal(lua_State *L);

void trit_open_signal(lua_State *L) { luaL_setfuncs(L, functions, 0); }
