/* clang.h - what our vector code takes from gcc and clang has not; the fuzzer's build includes it
 * before every file. */
#ifndef FUZZ_CLANG_H
#define FUZZ_CLANG_H

/* Lanes of a, then of b, by number. */
#define __builtin_shuffle(a, b, numbers)                                                           \
    ({                                                                                             \
        __auto_type a_ = (a);                                                                      \
        __auto_type b_ = (b);                                                                      \
        __auto_type numbers_ = (numbers);                                                          \
        __auto_type r_ = a_;                                                                       \
        const int n_ = (int)(sizeof r_ / sizeof r_[0]);                                            \
        for (int l_ = 0; l_ < n_; l_++)                                                            \
            r_[l_] = numbers_[l_] < n_ ? a_[numbers_[l_]] : b_[numbers_[l_] - n_];                 \
        r_;                                                                                        \
    })

#endif
