#!/usr/bin/env python3
"""Compiles tests/emu_fail/cu/*.cu, kernels with one deliberate fault each, to the PTX files beside them.

    tools/make_emu_cu_cases.py [--nvcc NVCC]        nvcc 13.0, by default the one that tools/get-nvcc fetched

Each PTX begins with the `//!` lines of its source, names that source without a folder, and states the ISA version that
our kernels state for the target.
"""

import argparse
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "emu_fail" / "cu"
FLAGS = ["-std=c++17", "-O3", "-lineinfo", "--ptx", "-arch=compute_80"]
VERSION = "7.4"


def compiled(nvcc, source, includes):
    """The PTX of one source, as it is to be committed."""
    command = [nvcc, *FLAGS, *(f"-I{folder}" for folder in includes), "-o", "-", source.name]
    ptx = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=True).stdout
    ptx = ptx[ptx.index(".version") :]
    ptx = re.sub(r"^\.version .*$", f".version {VERSION}", ptx, flags=re.M)
    # Whole debug sections follow the kernels; only the line table is of use.
    ptx = re.sub(r"^\t\.section\t\.debug.*", "", ptx, flags=re.M | re.S)
    ptx = re.sub(r'^(\t\.file\t\d+) ".*/([^/"]+)"$', r'\1 "\2"', ptx, flags=re.M)
    header = [line for line in source.read_text(encoding="utf-8").splitlines() if line.startswith("//!")]
    return "\n".join(header) + "\n\n" + ptx.rstrip() + "\n"


def main():
    """Compiles every source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nvcc", default=next((str(p) for p in ROOT.glob(".toolchain/**/bin/nvcc")), "nvcc"))
    parser.add_argument("-I", dest="includes", action="append", default=[], help="more folders for nvcc's own headers")
    args = parser.parse_args()
    for source in sorted(FOLDER.glob("*.cu")):
        ptx = compiled(args.nvcc, source, args.includes)
        assert "/" not in "".join(re.findall(r"^\t\.file.*$", ptx, flags=re.M)), source
        source.with_suffix(".ptx").write_text(ptx, encoding="utf-8")
        print(source.name)


if __name__ == "__main__":
    main()
