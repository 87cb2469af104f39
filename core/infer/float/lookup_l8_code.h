/*
 * lookup_l8_code.h - a dword of layout L8: bits 6 g + 0 .. 2 say which of three weights are +1,
 * bits 6 g + 3 .. 5 which are -1.
 */
#define CHUNK 30

static uint32_t code(const int8_t *w) {
    uint32_t d = 0;
    for (int j = 0; j < CHUNK / 2; j++) {
        if (w[j] > 0) d |= (uint32_t)1 << (j / 3 * 6 + j % 3);
        if (w[j] < 0) d |= (uint32_t)1 << (j / 3 * 6 + 3 + j % 3);
    }
    return d;
}
