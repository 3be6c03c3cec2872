"""Exact floating point: bits to fractions and back, rounded once, in any format and direction."""

import math
from dataclasses import dataclass
from fractions import Fraction


class Unstated(Exception):
    """The manual leaves the result open, so no case may rest on it."""


@dataclass(frozen=True)
class Format:
    """A binary format with subnormals, infinities and one canonical NaN."""

    name: str
    exponent_bits: int
    fraction_bits: int
    nan: int

    @property
    def bits(self):
        """Width."""
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def bias(self):
        """Exponent bias."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def infinity(self):
        """Bits of positive infinity."""
        return ((1 << self.exponent_bits) - 1) << self.fraction_bits

    @property
    def sign(self):
        """The sign bit."""
        return 1 << (self.bits - 1)

    @property
    def least_normal(self):
        """Bits of the least positive normal number."""
        return 1 << self.fraction_bits


F16 = Format("f16", 5, 10, 0x7FFF)
BF16 = Format("bf16", 8, 7, 0x7FFF)
F32 = Format("f32", 8, 23, 0x7FFFFFFF)
F64 = Format("f64", 11, 52, 0xFFF8000000000000)


def is_nan(fmt, bits):
    """Whether the bits are a NaN."""
    return bits & ~fmt.sign > fmt.infinity


def is_infinite(fmt, bits):
    """Whether the bits are an infinity."""
    return bits & ~fmt.sign == fmt.infinity


def is_zero(fmt, bits):
    """Whether the bits are a zero."""
    return bits & ~fmt.sign == 0


def is_subnormal(fmt, bits):
    """Whether the bits are a subnormal number."""
    return 0 < bits & ~fmt.sign < fmt.least_normal


def negative(fmt, bits):
    """Whether the sign bit is set."""
    return bool(bits & fmt.sign)


def flush(fmt, bits):
    """Subnormals to a zero of the same sign."""
    return bits & fmt.sign if is_subnormal(fmt, bits) else bits


def value(fmt, bits):
    """A finite number as a fraction."""
    magnitude = bits & ~fmt.sign
    exponent = magnitude >> fmt.fraction_bits
    fraction = magnitude & ((1 << fmt.fraction_bits) - 1)
    assert exponent < (1 << fmt.exponent_bits) - 1
    if exponent:
        fraction |= 1 << fmt.fraction_bits
    scale = max(exponent, 1) - fmt.bias - fmt.fraction_bits
    exact = Fraction(fraction) * Fraction(2) ** scale
    return -exact if bits & fmt.sign else exact


def floor_log2(x):
    """The exponent of a positive fraction."""
    guess = x.numerator.bit_length() - x.denominator.bit_length()
    return guess if Fraction(2) ** guess <= x else guess - 1


def away(mode, is_negative, odd, rest):
    """Whether a magnitude with the remainder `rest` in [0, 1) of a step is rounded up."""
    if rest == 0:
        return False
    if mode == "rn":
        return rest > Fraction(1, 2) or (rest == Fraction(1, 2) and odd)
    return {"rz": False, "rm": is_negative, "rp": not is_negative}[mode]


def encode(fmt, exact, mode="rn", zero_sign=False):
    """The bits nearest to a fraction in a rounding direction. `zero_sign` is the sign of an exact zero."""
    if exact == 0:
        return fmt.sign if zero_sign else 0
    is_negative, magnitude = exact < 0, abs(exact)
    scale = max(floor_log2(magnitude), 1 - fmt.bias) - fmt.fraction_bits
    steps = magnitude / Fraction(2) ** scale
    whole = math.floor(steps)
    if away(mode, is_negative, whole & 1, steps - whole):
        whole += 1
    # A carry into the next exponent, or from subnormal to normal, is right in this sum.
    bits = whole + ((scale + fmt.bias + fmt.fraction_bits - 1) << fmt.fraction_bits)
    if bits >= fmt.infinity:
        outward = mode == "rn" or away(mode, is_negative, False, Fraction(1, 4))
        bits = fmt.infinity if outward else fmt.infinity - 1
    return bits | (fmt.sign if is_negative else 0)


def flush_result(fmt, exact, bits):
    """A result under `.ftz`. Whether a value just under the least normal one is flushed before or after it is rounded
    is nowhere stated."""
    tiny = 0 < abs(exact) < value(fmt, fmt.least_normal)
    if tiny and not is_subnormal(fmt, bits) and not is_zero(fmt, bits):
        raise Unstated
    return flush(fmt, bits)


def finish(fmt, exact, mode, ftz, sat, zero_sign=False):
    """Rounds, flushes and clamps a finite exact result."""
    bits = encode(fmt, exact, mode, zero_sign)
    if ftz:
        bits = flush_result(fmt, exact, bits)
    return saturate(fmt, bits) if sat else bits


def saturate(fmt, bits):
    """`.sat`: to [+0, 1]; NaN is +0. Whether -0 stays is nowhere stated."""
    if bits == fmt.sign:
        raise Unstated
    if is_nan(fmt, bits) or negative(fmt, bits):
        return 0
    return min(bits, fmt.bias << fmt.fraction_bits)


def fma(fmt, a, b, c, mode="rn", ftz=False, sat=False):
    """a * b + c, rounded once."""
    if ftz:
        a, b, c = (flush(fmt, x) for x in (a, b, c))
    special = fma_special(fmt, a, b, c)
    if special is not None:
        return saturate(fmt, special) if sat else special
    product_sign = negative(fmt, a) != negative(fmt, b)
    exact = value(fmt, a) * value(fmt, b) + value(fmt, c)
    agree = product_sign == negative(fmt, c)
    zeros = (is_zero(fmt, a) or is_zero(fmt, b)) and is_zero(fmt, c)
    zero_sign = product_sign if zeros and agree else mode == "rm"
    return finish(fmt, exact, mode, ftz, sat, zero_sign)


def fma_special(fmt, a, b, c):
    """The result where an operand is infinite or NaN, else None."""
    if any(is_nan(fmt, x) for x in (a, b, c)):
        return fmt.nan
    sign = (a ^ b) & fmt.sign
    if is_infinite(fmt, a) or is_infinite(fmt, b):
        if is_zero(fmt, a) or is_zero(fmt, b):
            return fmt.nan
        if is_infinite(fmt, c) and c & fmt.sign != sign:
            return fmt.nan
        return sign | fmt.infinity
    return c if is_infinite(fmt, c) else None


def add(fmt, a, b, mode="rn", ftz=False, sat=False):
    """a + b, rounded once."""
    return fma(fmt, a, fmt.bias << fmt.fraction_bits, b, mode, ftz, sat)


def sub(fmt, a, b, mode="rn", ftz=False, sat=False):
    """a - b, rounded once."""
    return add(fmt, a, b if is_nan(fmt, b) else b ^ fmt.sign, mode, ftz, sat)


def mul(fmt, a, b, mode="rn", ftz=False, sat=False):
    """a * b, rounded once. The addend is a zero of the product's own sign, which changes nothing."""
    return fma(fmt, a, b, (a ^ b) & fmt.sign, mode, ftz, sat)


def div(fmt, a, b, mode="rn", ftz=False):
    """a / b, rounded once."""
    if ftz:
        a, b = flush(fmt, a), flush(fmt, b)
    sign = (a ^ b) & fmt.sign
    if is_nan(fmt, a) or is_nan(fmt, b):
        return fmt.nan
    if is_infinite(fmt, a) or is_zero(fmt, b):
        both = (is_infinite(fmt, a) and is_infinite(fmt, b)) or (is_zero(fmt, a) and is_zero(fmt, b))
        return fmt.nan if both else sign | fmt.infinity
    if is_infinite(fmt, b) or is_zero(fmt, a):
        return sign
    return finish(fmt, value(fmt, a) / value(fmt, b), mode, ftz, False)


def sqrt(fmt, a, mode="rn", ftz=False):
    """The square root, rounded once."""
    if ftz:
        a = flush(fmt, a)
    if is_zero(fmt, a):
        return a
    if is_nan(fmt, a) or negative(fmt, a):
        return fmt.nan
    if is_infinite(fmt, a):
        return a
    return encode(fmt, root(value(fmt, a)), mode)


def root(x):
    """A fraction that rounds as the square root of `x` does in any format of fewer than 100 bits: the root cut after
    128 bits, with one more bit set where it is not exact."""
    shift = 2 * (256 + max(0, -floor_log2(x)))
    scaled = (x.numerator << shift) // x.denominator
    whole = math.isqrt(scaled)
    exact = Fraction(whole * whole, 1 << shift) == x
    return Fraction(2 * whole + (0 if exact else 1), 2 << (shift // 2))


def minimum(fmt, a, b, ftz=False, nan=False):
    """`min`: a NaN loses unless `nan`; -0 is less than +0."""
    return extreme(fmt, a, b, ftz, nan, least=True)


def maximum(fmt, a, b, ftz=False, nan=False):
    """`max`: as `minimum`."""
    return extreme(fmt, a, b, ftz, nan, least=False)


def extreme(fmt, a, b, ftz, nan, least):
    """`min` or `max`."""
    if ftz:
        a, b = flush(fmt, a), flush(fmt, b)
    nans = is_nan(fmt, a) + is_nan(fmt, b)
    if nans == 2 or (nans and nan):
        return fmt.nan
    if nans:
        return b if is_nan(fmt, a) else a
    low, high = sorted((a, b), key=lambda x: order(fmt, x))
    return low if least else high


def order(fmt, bits):
    """A key that sorts as the numbers do, -0 before +0."""
    magnitude = bits & ~fmt.sign
    return -1 - magnitude if negative(fmt, bits) else magnitude


def compare(fmt, op, a, b, ftz=False):
    """A floating-point comparison of `setp`."""
    if ftz:
        a, b = flush(fmt, a), flush(fmt, b)
    unordered = is_nan(fmt, a) or is_nan(fmt, b)
    if op in ("num", "nan"):
        return unordered == (op == "nan")
    base = op[:-1] if op in ("equ", "neu", "ltu", "leu", "gtu", "geu") else op
    if unordered:
        return base != op
    zero = is_zero(fmt, a) and is_zero(fmt, b)
    x, y = (0, 0) if zero else (order(fmt, a), order(fmt, b))
    return {"eq": x == y, "ne": x != y, "lt": x < y, "le": x <= y, "gt": x > y, "ge": x >= y}[base]


def convert(source, target, bits, mode="rn", ftz=False, sat=False):
    """From one format to another. A NaN gives the canonical NaN of the target."""
    if ftz and source is F32:
        bits = flush(source, bits)
    if is_nan(source, bits):
        result = target.nan
    elif is_infinite(source, bits):
        result = target.infinity | (target.sign if negative(source, bits) else 0)
    else:
        exact = value(source, bits)
        return finish(target, exact, mode, ftz and target is F32, sat, negative(source, bits))
    return saturate(target, result) if sat else result


def to_integral(x, mode):
    """A fraction rounded to an integer: `rni rzi rmi rpi` without the `i`."""
    if mode == "rn":
        return round(x)
    return {"rz": math.trunc, "rm": math.floor, "rp": math.ceil}[mode](x)


def to_integer(fmt, bits, mode, low, high, ftz=False):
    """A float to an integer of a range: NaN is 0, what is out of range is its nearest end."""
    if ftz:
        bits = flush(fmt, bits)
    if is_nan(fmt, bits):
        return 0
    if is_infinite(fmt, bits):
        return low if negative(fmt, bits) else high
    return min(max(to_integral(value(fmt, bits), mode), low), high)


def from_float(x):
    """f32 bits of a Python float."""
    if math.isnan(x):
        return F32.nan
    if math.isinf(x):
        return F32.infinity | (F32.sign if x < 0 else 0)
    return encode(F32, Fraction(x), "rn", math.copysign(1, x) < 0)
