"""How kernels are compiled: the only module that imports Numba.

Only the ``cpu.py`` modules of kernel families import it, so that ``import tinygrad_rnn``
loads no Numba. A family writes ``@helper`` for what is used inside kernels and
``@kernel("intp, intp, T[::1]")`` for what Python calls; ``T`` stands for the element type.

What the options are for:

* ``error_model="numpy"``: without it a division costs 6 to 10 times as much, because a test
  for zero keeps LLVM from vectorising.
* ``FASTMATH`` never holds nnan or ninf: masks use -inf, and NaN must travel.
* No ``parallel=True``: Numba's own threads abort when two Python threads enter them, die in
  a forked child, and sum in an order that depends on how many there are. ``_pool`` hands
  slices of serial kernels to threads of our own.
* One signature per compiled function, with the element type and a digest in its name:
  Numba's cache index is not locked, and two processes that write different signatures of
  one function can leave one pointing at the code of the other.
"""

import threading
import time
from functools import partial
from typing import NamedTuple

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, event, types
from numba.extending import intrinsic as _numba_intrinsic

from tinygrad_rnn.kernels import _cache

__all__ = [
    "FASTMATH",
    "NO_FASTMATH",
    "Build",
    "Kernel",
    "builds",
    "cgutils",
    "helper",
    "host_vector_bits",
    "intrinsic",
    "ir",
    "kernel",
    "kernels",
    "types",
    "wide_vectors",
]

FASTMATH = frozenset({"nsz", "arcp", "contract", "afn", "reassoc"})
NO_FASTMATH: frozenset[str] = frozenset()
DISABLED = bool(vars(numba.config)["DISABLE_JIT"])


class Build(NamedTuple):
    """One function made ready: compiled, or loaded from the cache."""

    name: str
    dtype: str
    loaded: bool
    seconds: float


_builds: list[Build] = []
_kernels: list["Kernel"] = []
_lock = threading.RLock()  # guards building, and numba.config.CACHE_DIR while it is ours


def builds():
    """Return what this process has compiled or loaded so far, in order."""
    return tuple(_builds)


def kernels():
    """Return every kernel that has been defined so far, in order."""
    return tuple(_kernels)


# --- what kernels are made of -------------------------------------------------------------


def helper(function=None, *, fastmath=FASTMATH):
    """Mark a function that kernels call; it is compiled into each of them."""
    if function is None:
        return partial(helper, fastmath=fastmath)
    if DISABLED:
        return function
    # Its constants are part of its name: symbols of cached kernels are linked by name, and
    # two closures of one factory would otherwise be taken for each other.
    digest = _cache.fingerprint(function, sorted(fastmath))
    return numba.njit(
        _renamed(function, digest), error_model="numpy", fastmath=set(fastmath), nogil=True
    )


def intrinsic(definition=None, *, twin):
    """Make a Numba intrinsic of ``definition(typingctx, *types)``.

    Under NUMBA_DISABLE_JIT=1 the Python function ``twin`` stands in for it.
    """
    if definition is None:
        return partial(intrinsic, twin=twin)
    if DISABLED:
        return twin
    return _numba_intrinsic(definition)


def kernel(signature, *, fastmath=FASTMATH, dtypes=("float32", "float64")):
    """Make an entry that Python calls, compiled on its first call for each element type.

    Args:
        signature: Numba types of the arguments, such as ``"intp, const(T[:, ::1]), T[::1]"``.
            T is the element type, taken from the first array of it; ``const`` marks an
            array that is only read, so that read-only ones are welcome.
        dtypes: What T may be.
    """

    def decorate(body):
        place = _place_of_t(signature)
        if place is None:
            made = _Untyped(body, signature, fastmath, ("",), place)
        else:
            made = Kernel(body, signature, fastmath, tuple(dtypes), place)
        _kernels.append(made)
        return made

    return decorate


class Kernel:
    """A compiled entry: one function per element type, behind one name."""

    def __init__(self, body, signature, fastmath, dtypes, place):
        self.body = body
        self.fastmath = frozenset(fastmath)
        self.signature = signature
        self.dtypes = dtypes
        self._place = place
        self._ready = _Table(self)  # by dtype.char: hashing a dtype itself costs more
        self.__name__ = body.__name__
        self.__qualname__ = body.__qualname__
        self.__module__ = body.__module__
        self.__doc__ = body.__doc__

    def __call__(self, *args):
        return self._ready[args[self._place].dtype.char](*args)

    def __repr__(self):
        return f"<kernel {self.__module__}.{self.__qualname__}({self.signature})>"

    def compile(self, dtype=None):
        """Make it ready for ``dtype``, or for all of its element types."""
        for name in self.dtypes if dtype is None else (np.dtype(dtype).name,):
            self._ready[np.dtype(name).char]


class _Untyped(Kernel):
    """A kernel without an element type."""

    def __call__(self, *args):
        return self._ready[""](*args)

    def compile(self, dtype=None):
        self._ready[""]


class _Table(dict):  # type: ignore[type-arg]
    """Compiled functions by the character of their element type, made when asked for."""

    def __init__(self, owner):
        self.owner = owner

    def __missing__(self, char):
        owner, dtype = self.owner, np.dtype(char).name if char else ""
        if dtype not in owner.dtypes:
            raise TypeError(
                f"{owner.__module__}.{owner.__qualname__}: given an array of {dtype},"
                f" expected one of {', '.join(owner.dtypes)}."
            )
        with _lock:
            if char not in self:
                self[char] = _build(owner, dtype)
            return self[char]


# --- signatures ---------------------------------------------------------------------------


def _const(array):
    return types.Array(array.dtype, array.ndim, array.layout, readonly=True)


def _argument_types(signature, dtype):
    names = {**vars(types), "T": getattr(types, dtype or "float32"), "const": _const}
    made = eval(f"({signature},)" if signature.strip() else "()", {}, names)
    return tuple(made)


def _place_of_t(signature):
    """Return where the argument stands that tells the element types apart; None for no T."""
    single, double = _argument_types(signature, "float32"), _argument_types(signature, "float64")
    places = [i for i, kind in enumerate(single) if kind != double[i]]
    arrays = [i for i in places if isinstance(single[i], types.Array)]
    return next(iter(arrays + places), None)


# --- building -----------------------------------------------------------------------------


def _renamed(function, digest):
    """Return a copy of ``function`` that carries a digest in its qualified name."""
    copy = type(function)(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__qualname__ = f"{function.__qualname__}__{digest}".replace("<locals>.", "")
    copy.__doc__ = function.__doc__
    return copy


def _build(kernel, dtype):
    if DISABLED:
        return _in_python(kernel.body)
    arguments = _argument_types(kernel.signature, dtype)
    digest = _cache.fingerprint(kernel.body, sorted(kernel.fastmath), kernel.signature, dtype)
    body = numba.njit(
        _renamed(kernel.body, f"{dtype}__{digest}"),
        error_model="numpy",
        fastmath=set(kernel.fastmath),
        nogil=True,
    )
    entry = _entry(body.py_func, _flushed_call(body))
    started = time.perf_counter()
    dispatcher, loaded = _ready_dispatcher(entry, arguments)
    _builds.append(
        Build(
            f"{kernel.__module__}.{kernel.__qualname__}",
            dtype,
            loaded,
            time.perf_counter() - started,
        )
    )
    return dispatcher


def _in_python(body):
    """Return the body itself, with warnings off as they are in compiled code."""

    def run(*args):
        with np.errstate(all="ignore"):
            return body(*args)

    return run


def _entry(body, call):
    """Write the function that Python calls: it has the body's name and arguments."""
    names = ", ".join(body.__code__.co_varnames[: body.__code__.co_argcount])
    source = f"def {body.__name__}({names}):\n    return _call({names})\n"
    scope = {"_call": call, "__name__": body.__module__}
    # Numba's cache wants to know of a file; that of the body is the true one.
    exec(compile(source, body.__code__.co_filename, "exec"), scope)
    entry = scope[body.__name__]
    entry.__qualname__ = body.__qualname__ + "__entry"
    return entry


def _ready_dispatcher(entry, arguments):
    folder = _cache_folder()
    if folder is not None:
        try:
            dispatcher = _decorate(entry, folder)
            _compile(dispatcher, arguments)
            if arguments in dispatcher.overloads:
                dispatcher.disable_compile()
                return dispatcher, sum(dispatcher.stats.cache_hits.values()) > 0
        except Exception:  # whatever is wrong with the folder: a compile error comes again
            pass
    dispatcher = numba.njit(entry, nogil=True, error_model="numpy")
    _compile(dispatcher, arguments)
    dispatcher.disable_compile()
    return dispatcher, False


def _decorate(entry, folder):
    """Make a dispatcher that caches in ``folder``, leaving Numba's own setting alone."""
    config = numba.config
    saved = config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES
    config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = str(folder), ""
    try:
        return numba.njit(entry, nogil=True, error_model="numpy", cache=True)
    finally:
        config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = saved


class _Announce(event.Listener):
    """Say once per process that a compile is going on, when one really starts."""

    said = False

    def on_start(self, event):
        if not _Announce.said:
            _Announce.said = True
            _cache.announce(_cache_folder())

    def on_end(self, event):
        pass


def _compile(dispatcher, arguments):
    with event.install_listener("numba:compile", _Announce()):
        dispatcher.compile(arguments)


def _cache_folder():
    return _cache.folder(_facts)


def _facts():
    """Return all that compiled code depends on besides its sources."""
    config = numba.config
    return {
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
        "cpu": _host_cpu(),
        "flags": {
            name: repr(value)
            for name, value in sorted(vars(config).items())
            if name.isupper() and not name.startswith(_HARMLESS)
        },
    }


# Flags that change no code; a longer list would only save compiling again.
_HARMLESS = ("CACHE_", "CUDA", "NUMBA_", "DEBUG_CACHE", "COLOR_SCHEME", "THREADING_LAYER", "GDB")


def _host_cpu():
    """Return the name and features of the CPU that Numba compiles for."""
    name, features = numba.config.CPU_NAME, numba.config.CPU_FEATURES
    if name is None:
        name = llvmlite.binding.get_host_cpu_name()
    if features is None:
        features = llvmlite.binding.get_host_cpu_features().flatten()
    return name, features


# --- denormals ----------------------------------------------------------------------------

_ARCHITECTURE = llvmlite.binding.get_process_triple().split("-")[0]
_FTZ_AND_DAZ = 0x8040  # of MXCSR
_FZ = 1 << 24  # of FPCR


def _flushed_call(body):
    """Make an intrinsic that calls ``body`` with denormals flushed to zero.

    Vanishing gradients make numbers under 1e-38 by themselves, and they slow a product a
    hundredfold. The body is not inlined, so that nothing moves out of the flushed region,
    and its status is looked at only after the caller's mode is back.
    """

    def typed(typingctx, *arguments):
        body.compile(arguments)
        compiled = body.overloads[arguments]

        def codegen(context, builder, signature, args):
            context.add_linking_libs([compiled.library])
            function = context.declare_function(builder.module, compiled.fndesc)
            restore = _flush_denormals(builder)
            status, result = context.call_conv.call_function(
                builder, function, signature.return_type, signature.args, args, attrs=("noinline",)
            )
            restore()
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return result

        return compiled.signature, codegen

    names = ", ".join(f"a{i}" for i in range(body.py_func.__code__.co_argcount))
    scope = {"typed": typed}
    exec(f"def call(typingctx, {names}):\n    return typed(typingctx, {names})\n", scope)
    return _numba_intrinsic(scope["call"])


def _flush_denormals(builder):
    """Emit the change of mode; return a function that emits the change back."""
    module, void, word, wide = builder.module, ir.VoidType(), ir.IntType(32), ir.IntType(64)
    if _ARCHITECTURE in ("x86_64", "amd64", "i386", "i686"):
        byte = ir.IntType(8).as_pointer()
        function = ir.FunctionType(void, [byte])
        store = cgutils.get_or_insert_function(module, function, "llvm.x86.sse.stmxcsr")
        load = cgutils.get_or_insert_function(module, function, "llvm.x86.sse.ldmxcsr")
        saved, flushed = (cgutils.alloca_once(builder, word) for _ in range(2))
        builder.call(store, [builder.bitcast(saved, byte)])
        mode = builder.or_(builder.load(saved), ir.Constant(word, _FTZ_AND_DAZ))
        builder.store(mode, flushed)
        builder.call(load, [builder.bitcast(flushed, byte)])
        return lambda: builder.call(load, [builder.bitcast(saved, byte)])
    if _ARCHITECTURE in ("aarch64", "arm64"):
        get = cgutils.get_or_insert_function(
            module, ir.FunctionType(wide, []), "llvm.aarch64.get.fpcr"
        )
        put = cgutils.get_or_insert_function(
            module, ir.FunctionType(void, [wide]), "llvm.aarch64.set.fpcr"
        )
        before = builder.call(get, [])
        builder.call(put, [builder.or_(before, ir.Constant(wide, _FZ))])
        return lambda: builder.call(put, [before])
    return lambda: None


# --- the CPU's vectors --------------------------------------------------------------------


@partial(intrinsic, twin=lambda: None)
def wide_vectors(typingctx):
    """Ask LLVM for 512-bit vectors in the function that calls this, if the CPU has them."""

    def codegen(context, builder, signature, args):
        if host_vector_bits() == 512:
            # Past llvmlite's own check, which knows no attributes with values.
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), codegen


def host_vector_bits():
    """Return 512, 256 or 128: the widest vectors of the CPU that Numba compiles for.

    Asked of LLVM itself, by lowering one wide addition and looking at its registers, so
    that NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count as they do for kernels.
    """
    name, features = _host_cpu()
    if (name, features) not in _vector_bits:
        _vector_bits[name, features] = _measure_vector_bits(name, features)
    return _vector_bits[name, features]


_vector_bits: dict[tuple[str, str], int] = {}


def _measure_vector_bits(name, features):
    vector = ir.VectorType(ir.FloatType(), 16)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(vector, [vector, vector]), "add")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.fadd(*function.args))
    binding = llvmlite.binding
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    machine = target.create_target_machine(cpu=name, features=features)
    text = machine.emit_assembly(binding.parse_assembly(str(module)))
    return 512 if "zmm" in text else 256 if "ymm" in text else 128
