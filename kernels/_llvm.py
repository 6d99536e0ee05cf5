"""Questions to LLVM: for which CPU it compiles, and how wide its vectors are."""

from functools import cache

from tinygrad_rnn.kernels._numba import binding, config, ir

__all__ = ["host_cpu", "host_vector_bits", "vector_bits"]


def host_cpu():
    """Return the name and features of the CPU that Numba compiles for."""
    name, features = config.CPU_NAME, config.CPU_FEATURES
    if name is None:
        name = binding.get_host_cpu_name()
    if features is None:
        features = binding.get_host_cpu_features().flatten()
    return name, features


def host_vector_bits():
    """Return 512, 256 or 128: the widest vectors of the CPU that Numba compiles for.

    Asked of LLVM itself, by lowering one wide addition and looking at its registers, so
    that NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count as they do for kernels.
    """
    return vector_bits(*host_cpu())


@cache
def vector_bits(cpu, features):
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
