#!/usr/bin/env python3
"""Writes the pass cases of tests/emu_pass: PTX by hand, expected bytes by exact arithmetic (tools/golden/emu_cases).

    pip install numpy==2.4.6 mpmath==1.4.1 torch==2.15.0 mmasim==2.1.1
    tools/make_emu_cases.py [--ptxas PTXAS]...

Each `--ptxas` assembles every case, since one that does not assemble proves nothing.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
from importlib.metadata import version

from golden.emu_cases import (
    approx,
    async_copy,
    atomic,
    control,
    convert,
    float32,
    float64,
    half,
    integer,
    logic,
    matrix,
    memory,
    oracle_check,
    spaces,
    spelling,
    sync,
    values,
    warp,
)

GROUPS = [
    integer,
    logic,
    float32,
    float64,
    half,
    convert,
    approx,
    memory,
    spaces,
    warp,
    control,
    sync,
    atomic,
    async_copy,
    matrix,
    spelling,
]

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "emu_pass"


def assemble(ptxas, path, target):
    """Assembles one file, or stops with what ptxas says."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        command = [ptxas, f"-arch=sm_{target}", "-o", cubin.name, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{path.name} does not assemble:\n{done.stderr}")


def main():
    """Writes every case, and removes what is no longer one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ptxas", action="append", default=[])
    parser.add_argument("--only", default="", help="names that start so; keeps the other files")
    args = parser.parse_args()
    oracle_check.check()
    OUT.mkdir(parents=True, exist_ok=True)
    names = {}
    for group in GROUPS:
        for case in group.cases():
            assert case.name not in names, case.name
            names[case.name] = case.target
            if not case.name.startswith(args.only):
                continue
            path = OUT / f"{case.name}.ptx"
            path.write_text(case.ptx(), encoding="utf-8")
            (OUT / f"{case.name}.expect").write_text(case.expected(), encoding="utf-8")
            for ptxas in args.ptxas:
                assemble(ptxas, path, case.target)
    for path in OUT.iterdir():
        if path.stem not in names and path.name != "provenance.json":
            path.unlink()
    provenance = {
        "command": "tools/make_emu_cases.py",
        "packages": {name: version(name) for name in ["numpy", "mpmath", "torch", "mmasim"]},
        "seed": values.SEED,
        "cases": len(names),
    }
    (OUT / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
    print(f"{len(names)} cases")


if __name__ == "__main__":
    main()
