# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Questions to LLVM. ``_jit`` hands llvmlite in: nothing else imports it."""

import re
from functools import cache

__all__ = ["double_arithmetic", "host_cpu", "vector_bits"]

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
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    machine = target.create_target_machine(cpu=cpu, features=features)
    text = machine.emit_assembly(binding.parse_assembly(str(module)))
    return 512 if "zmm" in text else 256 if "ymm" in text else 128


def double_arithmetic(text):
    """Return the lines of LLVM code that compute in float64."""
    return [line.strip() for line in text.splitlines() if _DOUBLE.search(line)]
