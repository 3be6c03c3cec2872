#!/usr/bin/env python3
"""Compiles tests/emu_fail/cu/*.cu, kernels with one deliberate fault each, and the emulator benchmark's kernel in benches/emu/,
to the PTX files beside them.

    tools/make_emu_cu_cases.py [--nvcc NVCC]        nvcc 13.0.88, by default the one that tools/get-nvcc fetched

Each PTX begins with the `//!` lines of its source, names that source without a folder, states the ISA version that our
kernels state for the target, and ends with the 64-bit FNV-1a hash of the source: tests/committed_ptx.rs holds it to the
`.cu` that stands there now.
"""

import argparse
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = [ROOT / "tests" / "emu_fail" / "cu", ROOT / "benches" / "emu"]
NVCC = ROOT / ".toolchain" / "cuda-13.0" / "bin" / "nvcc"
NVCC_VERSION = "V13.0.88"
FLAGS = ["-std=c++17", "-O3", "-lineinfo", "--ptx", "-arch=compute_80"]
VERSION = "7.4"


def fnv(data):
    """The 64-bit FNV-1a hash."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


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
    made_of = f"// made of {source.name} {fnv(source.read_bytes()):016x}"
    return ("\n".join(header) + "\n\n" + ptx.rstrip()).lstrip() + f"\n{made_of}\n"


def main():
    """Compiles every source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nvcc", default=str(NVCC))
    parser.add_argument("-I", dest="includes", action="append", default=[], help="more folders for nvcc's own headers")
    args = parser.parse_args()
    version = subprocess.run([args.nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    if NVCC_VERSION not in version:
        parser.error(f"{args.nvcc}: expected {NVCC_VERSION}, found {version.strip()}; tools/get-nvcc gets it")
    for source in sorted(source for folder in FOLDERS for source in folder.glob("*.cu")):
        ptx = compiled(args.nvcc, source, args.includes)
        assert "/" not in "".join(re.findall(r"^\t\.file.*$", ptx, flags=re.M)), source
        source.with_suffix(".ptx").write_text(ptx, encoding="utf-8")
        print(source.name)


if __name__ == "__main__":
    main()
