#!/bin/sh
# build_lowbit.sh GGML_DIR BITNET_DIR PROGRAM: lowbit.cpp with the kernels of two checkouts, for
# this processor.  Nothing is written but PROGRAM.
set -e
[ $# = 3 ] || { echo "usage: build_lowbit.sh GGML_DIR BITNET_DIR PROGRAM" >&2; exit 2; }
here=$(cd -- "$(dirname -- "$0")" && pwd)
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
flags="-O3 -march=native -fopenmp -w -ffunction-sections -fdata-sections -D_GNU_SOURCE
-I$1/include -I$1/src -I$1/src/ggml-cpu"
for file in ggml.c ggml-quants.c ggml-cpu/quants.c ggml-cpu/arch/x86/quants.c; do
    # shellcheck disable=SC2086 # words on purpose
    gcc $flags -DGGML_VERSION='""' -DGGML_COMMIT='""' -c "$1/src/$file" \
        -o "$objects/$(echo "$file" | tr / _).o"
done
# Its type is one of its own ggml; only a size that is not used here depends on it.
# shellcheck disable=SC2086
g++ $flags -I"$2/include" -DGGML_TYPE_I2_S='((enum ggml_type)24)' -c "$2/src/ggml-bitnet-mad.cpp" \
    -o "$objects/bitnet.o"
# shellcheck disable=SC2086
g++ $flags -ffast-math -c "$here/lowbit.cpp" -o "$objects/lowbit.o"
g++ -fopenmp -Wl,--gc-sections "$objects"/*.o -o "$3"
