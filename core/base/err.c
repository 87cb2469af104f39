/*
 * err.c - the one sentence that travels with a failed status.
 *
 * A fixed buffer per thread: reporting that memory ran out must not allocate.
 */
#include "trit/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SENTENCE_BYTES 1024

static _Thread_local char sentence[SENTENCE_BYTES];

trit_status trit_fail(trit_status status, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    return status;
}

trit_status trit_fail_within(trit_status status, const char *fmt, ...) {
    char inner[SENTENCE_BYTES];
    memcpy(inner, sentence, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    int used = vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    if (used >= 0 && (size_t)used < sizeof sentence)
        snprintf(sentence + used, sizeof sentence - (size_t)used, ": %s", inner);
    return status;
}

const char *trit_last_error(void) { return sentence[0] ? sentence : "no error was recorded"; }
