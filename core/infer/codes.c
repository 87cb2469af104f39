/*
 * codes.c - rows of ternary codes: two bits each, or five in a byte.
 */
#include "infer/format.h"

#define FILL2 0x55 /* four times code 1 */
#define PER2  4
#define PER5  5
#define BASE5 242 /* the greatest byte of five base-3 digits */

int64_t trit_t2_bytes(int64_t n) { return (n + PER2 - 1) / PER2; }
int64_t trit_t5_bytes(int64_t n) { return (n + PER5 - 1) / PER5; }

void trit_t2_pack(const int8_t *codes, int64_t n, uint8_t *packed) {
    for (int64_t i = 0; i < n; i += PER2) {
        unsigned byte = FILL2;
        for (int64_t j = 0; j < PER2 && i + j < n; j++) {
            byte &= ~(3u << (2 * j));
            byte |= (unsigned)(codes[i + j] + 1) << (2 * j);
        }
        packed[i / PER2] = (uint8_t)byte;
    }
}

void trit_t2_unpack(const uint8_t *packed, int64_t n, int8_t *codes) {
    for (int64_t i = 0; i < n; i++)
        codes[i] = (int8_t)((packed[i / PER2] >> (2 * (i % PER2)) & 3) - 1);
}

int64_t trit_t2_bad(const uint8_t *packed, int64_t n) {
    const int64_t bytes = trit_t2_bytes(n);
    for (int64_t i = 0; i < bytes; i++)
        if (packed[i] & packed[i] >> 1 & FILL2) return i;
    const int left = (int)(n % PER2);
    if (left && packed[bytes - 1] >> (2 * left) != FILL2 >> (2 * left)) return bytes - 1;
    return -1;
}

void trit_t5_pack(const int8_t *codes, int64_t n, uint8_t *packed) {
    for (int64_t i = 0; i < n; i += PER5) {
        int byte = 0;
        for (int64_t j = PER5 - 1; j >= 0; j--)
            byte = 3 * byte + (i + j < n ? codes[i + j] + 1 : 1);
        packed[i / PER5] = (uint8_t)byte;
    }
}

void trit_t5_unpack(const uint8_t *packed, int64_t n, int8_t *codes) {
    int byte = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i % PER5 == 0) byte = packed[i / PER5];
        codes[i] = (int8_t)(byte % 3 - 1);
        byte /= 3;
    }
}

int64_t trit_t5_bad(const uint8_t *packed, int64_t n) {
    const int64_t bytes = trit_t5_bytes(n);
    for (int64_t i = 0; i < bytes; i++)
        if (packed[i] > BASE5) return i;
    if (n % PER5) {
        int byte = packed[bytes - 1];
        for (int64_t j = 0; j < PER5; j++, byte /= 3)
            if (j >= n % PER5 && byte % 3 != 1) return bytes - 1;
    }
    return -1;
}
