/*
 * cpu.c - what the processor and the system support, and the level chosen.
 *
 * __builtin_cpu_supports looks at CPUID and at XGETBV, so a level is reported only when the
 * operating system saves its registers.
 */
#include "trit/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmmintrin.h>

#include "base/cpu.h"

static trit_isa level = TRIT_ISA_GENERIC;
static char line[128];

static const char *const names[] = {"generic", "avx2", "avx512"};

const char *trit_isa_name(trit_isa isa) { return names[isa]; }

trit_isa trit_isa_best(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        return TRIT_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return TRIT_ISA_AVX2;
    return TRIT_ISA_GENERIC;
}

bool trit_cpu_has_vnni(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512vnni") != 0;
}

trit_isa trit_isa_level(void) { return level; }

trit_status trit_isa_force(trit_isa wanted) {
    if (wanted > trit_isa_best())
        return trit_fail(TRIT_ERR_UNSUPPORTED,
                         "instruction set %s is not supported here: best is %s", names[wanted],
                         names[trit_isa_best()]);
    level = wanted;
    return TRIT_OK;
}

trit_status trit_cpu_start(void) {
    level = trit_isa_best();
    const char *wish = getenv("TRIT_ISA");
    if (!wish || !*wish) return TRIT_OK;
    for (int i = 0; i < 3; i++)
        if (!strcmp(wish, names[i])) return trit_isa_force((trit_isa)i);
    return trit_fail(TRIT_ERR_ARG, "TRIT_ISA=%s: expected generic, avx2 or avx512", wish);
}

const char *trit_cpu_line(void) {
    if (line[0]) return line;
    snprintf(line, sizeof line, "unknown processor");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return line;
    char row[256];
    while (fgets(row, sizeof row, f)) {
        char *colon = strchr(row, ':');
        if (strncmp(row, "model name", 10) || !colon) continue;
        colon[strcspn(colon, "\n")] = 0;
        snprintf(line, sizeof line, "%.120s", colon + 2);
        break;
    }
    fclose(f);
    return line;
}

void trit_flush_denormals(void) {
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* FTZ (bit 15) and DAZ (bit 6) */
}
