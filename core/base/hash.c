/*
 * hash.c - fingerprints of texts: XXH3-128 (xxHash 0.8), in canonical byte order.
 */
#include "trit/base.h"

#include <stdio.h>
#define XXH_INLINE_ALL /* no library to link */
#include <xxhash.h>

void trit_hash_hex(const void *bytes, size_t n, char hex[TRIT_HASH_CHARS + 1]) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, n));
    for (size_t i = 0; i < sizeof canonical.digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", canonical.digest[i]);
}
