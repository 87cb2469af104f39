#!/bin/sh
# build_fuzz.sh CLANG SOURCE BUILD: build the fuzzer of packed models, BUILD/tests/fuzz/fuzz_model.
set -e
PATH=/usr/bin:/bin:$PATH
cmake -G Ninja -S "$2" -B "$3" -DCMAKE_C_COMPILER="$1" -DTRIT_TESTS=OFF -DTRIT_FUZZ=ON >/dev/null
cmake --build "$3" --target fuzz_model
