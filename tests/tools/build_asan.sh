#!/bin/sh
# build_asan.sh CMAKE SOURCE BUILD: configure and build with sanitizers.  Warnings are errors in the
# plain test build only: instrumented code draws false ones.
set -e
"$1" -G Ninja -S "$2" -B "$3" -DTRIT_TESTS=ON -DTRIT_SANITIZE=ON -DTRIT_WERROR=OFF >/dev/null
"$1" --build "$3"
