# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Questions to LLVM. ``_jit`` hands llvmlite in: nothing else imports it."""

import re
from functools import cache

__all__ = ["double_arithmetic", "host_cpu", "prefer_wide", "vector_bits"]

_WIDE = '"prefer-vector-width"="512"'
# No fptrunc: alone, it takes an argument down to float32, once and for nothing.
_DOUBLE = re.compile(
    r"= (f(add|sub|mul|div|rem|neg|cmp|pext)|[su]itofp|fpto[su]i)\b.*\bdouble\b"
    r"|call\b.*\bdouble\b.*@llvm"
)


def host_cpu(config, binding):
    """Return the name and features of the CPU that Numba compiles for."""
    name, features = config.CPU_NAME, config.CPU_FEATURES
    if name is None:
        name = binding.get_host_cpu_name()
    if features is None:
        features = binding.get_host_cpu_features().flatten()
    return name, features


@cache
def vector_bits(ir, binding, cpu, features):
    """Return the width of a CPU's vectors: add two wide ones and look at the registers."""
    vector = ir.VectorType(ir.FloatType(), 16)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(vector, [vector, vector]), "add")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.fadd(*function.args))
    prefer_wide(ir, binding, function)
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    machine = target.create_target_machine(cpu=cpu, features=features)
    text = machine.emit_assembly(binding.parse_assembly(str(module)))
    return 512 if "zmm" in text else 256 if "ymm" in text else 128


def prefer_wide(ir, binding, function):
    """Let LLVM use 512-bit vectors in a function, where llvmlite lets us say so."""
    if _takes_wide(ir, binding):
        # Past llvmlite's own check, which knows no attributes with values.
        set.add(function.attributes, _WIDE)


@cache
def _takes_wide(ir, binding):
    """Whether this llvmlite writes such an attribute in a way that LLVM reads."""
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "nothing")
    ir.IRBuilder(function.append_basic_block()).ret_void()
    try:
        set.add(function.attributes, _WIDE)
        return _WIDE in str(binding.parse_assembly(str(module)))
    except Exception:
        return False


def double_arithmetic(text):
    """Return the lines of LLVM code that compute in float64."""
    return [line.strip() for line in text.splitlines() if _DOUBLE.search(line)]
