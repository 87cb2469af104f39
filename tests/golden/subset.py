#!/usr/bin/env python3
"""Cut the committed subset out of the full golden files: subset.py FULL_DIR (needs python3-h5py).

Of every kind of case the smallest is kept, so that a tree without the full files still compares
every op, quantizer option and optimizer with float64 references.
"""
import os
import sys

import h5py

KIND = ("op", "method", "kind", "optimizer", "schedule", "scale", "center", "grad_correct",
        "granularity", "n_thresholds", "t_ex", "schedule_mode", "mode", "bwn_grad", "codebook")
# file: most numbers a kept case may hold, most cases kept (spread over the kinds)
FILES = {"ops.h5": (4000, 40), "optim.h5": (3000, 20), "quant_tga.h5": (3000, 16),
         "quant_zoo.h5": (2500, 60), "stats.h5": (4000, 20), "train_small.h5": (90000, 1)}


def numbers(group):
    total = 0

    def add(_, item):
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += item.size

    group.visititems(add)
    return total


def subset(source, target, limit, most):
    with h5py.File(source) as full, h5py.File(target, "w", libver="earliest") as small:
        for name, value in full.attrs.items():
            small.attrs[name] = value
        best = {}
        for case in full:
            key = tuple(str(full[case].attrs.get(k)) for k in KIND)
            size = numbers(full[case])
            sequential = full[case].attrs.get("schedule_mode", b"sequential") == b"sequential"
            if size <= limit and sequential and (key not in best or size < best[key][0]):
                best[key] = (size, case)
        cases = sorted(case for _, case in best.values())
        cases = cases[::-(-len(cases) // most)]
        for case in cases:
            full.copy(case, small)
        return len(cases)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    for name, (limit, most) in FILES.items():
        count = subset(os.path.join(sys.argv[1], name), os.path.join(here, name), limit, most)
        print(f"{name}: {count} cases, {os.path.getsize(os.path.join(here, name))} bytes")


main()
