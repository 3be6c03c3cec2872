"""A case: the header that says what to launch, the PTX, and the expected bytes."""

import itertools
from dataclasses import dataclass, field

WIDTH = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
# The oldest PTX ISA with what a target's cases need; drivers from 525 on take all three.
VERSIONS = {75: "7.0", 80: "7.4", 90: "7.8"}
COLUMNS = 8


@dataclass
class Buffer:
    """One parameter. `values` go in, `expect` must come out."""

    kind: str
    name: str
    type: str
    values: list = field(default_factory=list)
    expect: list = field(default_factory=list)
    bound: str = ""

    def header(self):
        """Its lines of the header."""
        if self.kind == "out":
            yield f"//! out {self.name} {self.type} {len(self.expect)}"
        else:
            texts = runs(hexadecimal(value, self.type) for value in self.values)
            for at in range(0, len(texts), COLUMNS):
                yield f"//! {self.kind} {self.name} {self.type} {' '.join(texts[at : at + COLUMNS])}"
        if self.bound:
            yield f"//! bound {self.name} {self.bound}"

    def parameter(self):
        """Its place in the entry's parameter list."""
        kind = self.type if self.kind == "scalar" else "u64"
        return f"\t.param .{kind} {self.name}"

    def expected(self):
        """Its lines of the expect file."""
        width = 2 * WIDTH[self.type]
        texts = [f"{mask(value, self.type):0{width}x}" for value in self.expect]
        lines = [" ".join(texts[at : at + COLUMNS]) for at in range(0, len(texts), COLUMNS)]
        return f"{self.name}: " + "\n    ".join(lines) + "\n"


def mask(value, kind):
    """A value as the unsigned integer of its bits."""
    return int(value) & ((1 << (8 * WIDTH[kind])) - 1)


def hexadecimal(value, kind):
    """A value as the header writes it."""
    return hex(mask(value, kind))


def runs(texts):
    """The texts, where a run of equal ones is written once with its length: `0x5*3`."""
    counted = [(text, len(list(run))) for text, run in itertools.groupby(texts)]
    return [text if count == 1 else f"{text}*{count}" for text, count in counted]


def given(name, kind, values):
    """A buffer that the kernel only reads."""
    return Buffer("in", name, kind, list(values))


def out(name, kind, expect, bound=""):
    """A buffer that the kernel writes whole."""
    return Buffer("out", name, kind, expect=list(expect), bound=bound)


def inout(name, kind, values, expect, bound=""):
    """A buffer with values before and after."""
    values, expect = list(values), list(expect)
    assert len(values) == len(expect)
    return Buffer("inout", name, kind, values, expect, bound)


def scalar(name, kind, value):
    """A parameter by value."""
    return Buffer("scalar", name, kind, [value])


@dataclass
class Case:
    """One behaviour, one file."""

    name: str
    about: str
    buffers: list
    body: str
    target: int = 75
    grid: tuple = (1,)
    block: tuple = (32,)
    shared: int = 0
    registers: str = ""
    module: str = ""
    notes: tuple = ()
    # On hardware the bits hold on the target's own generation alone.
    only: bool = False

    def ptx(self):
        """The `.ptx` file."""
        lines = [f"//! {self.about}"]
        lines += [f"//! {note}" for note in self.notes]
        lines.append(f"//! grid {' '.join(map(str, self.grid))}")
        lines.append(f"//! block {' '.join(map(str, self.block))}")
        if self.only:
            lines.append(f"//! only sm_{self.target}")
        if self.shared:
            lines.append(f"//! shared {self.shared}")
        for buffer in self.buffers:
            lines += buffer.header()
        lines += ["", f".version {VERSIONS[self.target]}", f".target sm_{self.target}", ".address_size 64", ""]
        lines += indent(self.module, "") + [""] if self.module else []
        lines.append(".visible .entry test(")
        lines.append(",\n".join(buffer.parameter() for buffer in self.buffers))
        lines += [")", "{"]
        lines += indent(self.registers, "\t")
        lines += indent(self.body, "\t")
        lines += ["\tret;", "}", ""]
        return "\n".join(lines)

    def expected(self):
        """The `.expect` file."""
        return "".join(buffer.expected() for buffer in self.buffers if buffer.kind in ("out", "inout"))


def indent(text, by):
    """Lines of a block, each indented; labels stand at the margin."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return [line if line.endswith(":") or not line else by + line for line in lines]


def address(register, buffer, index, width):
    """PTX that puts the address of element `index` (a 32-bit register) of a parameter's buffer into `register`."""
    return f"""
        ld.param.u64 {register}, [{buffer}];
        cvta.to.global.u64 {register}, {register};
        mad.wide.u32 {register}, {index}, {width}, {register};"""


def each(name, about, body, ins, outs, target=75, registers="", bound="", notes=()):
    """A case of one thread an element: loads the inputs into registers of their names, runs `body`, stores the outputs.

    `ins` and `outs` are (name, type, values). An input `a` is the register `%a`.
    """
    count = len(ins[0][2])
    assert 0 < count <= 1024 and all(len(values) == count for _, _, values in ins + outs), name
    declared = [".reg .b32 %t;", ".reg .b64 %at;"]
    code = "mov.u32 %t, %tid.x;"
    for buffer, kind, _ in ins:
        declared.append(f".reg .b{register_bits(kind)} %{buffer};")
        code += address("%at", buffer, "%t", WIDTH[kind]) + f"\nld.global.{kind} %{buffer}, [%at];"
    code += "\n\n" + body.strip() + "\n"
    for buffer, kind, _ in outs:
        declared.append(f".reg .b{register_bits(kind)} %{buffer};")
        code += address("%at", buffer, "%t", WIDTH[kind]) + f"\nst.global.{kind} [%at], %{buffer};"
    declared += registers.strip().splitlines()
    buffers = [given(*i) for i in ins] + [out(*o, bound) for o in outs]
    return Case(name, about, buffers, code, target=target, block=(count,), registers="\n".join(declared), notes=notes)


def register_bits(kind):
    """Width of the register that holds a loaded value: there are no 8-bit ones."""
    return max(16, 8 * WIDTH[kind])
