"""Cases for the emulator: PTX written by hand, and what it must give by exact arithmetic in Python.

Nothing here is taken from the emulator. Integers are Python's, floating point is `fractions` rounded once,
approximations are mpmath's, and tensor-core sums are mmasim's. The meaning of each
instruction is that of NVIDIA's PTX ISA manual.
"""
