/* cpu.h - start-up of the processor layer (base only). */
#ifndef TRIT_BASE_CPU_H
#define TRIT_BASE_CPU_H
#include "trit/base.h"
trit_status trit_cpu_start(void);
trit_isa trit_isa_best(void);
#endif
