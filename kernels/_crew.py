"""The pool's threads at work: compiled, so that they need neither Python nor the GIL.

All that they share is an array of words. A job is published in it, each worker claims its
ticket, and slices are claimed one by one: first those of the thread's own share, which it
may have in its cache from the last job, then what is left of the others'.

A thread without a job looks for one for a short while and then sleeps on a lock. Waking a
thread takes 40 µs where its core sleeps too, so whoever publishes does not wait for it:
it works, and takes back the tickets that nobody has claimed when all slices are done.
"""

import ctypes
import os

from tinygrad_rnn.kernels._jit import binding, cgutils, helper, intrinsic, ir, kernel, types

__all__ = ["barrier", "run", "serve"]

_LINE = 64  # words that different threads write lie on different lines
# Addresses in the array, in bytes.
RUN = 0 * _LINE  # the function below; its readers know that it is the first word
FUNCTION, BLOCK, COUNT, CHUNK, THREADS = (1 * _LINE + 8 * i for i in range(5))  # the job
PENDING = 2 * _LINE
CALLER_ASLEEP, CALLER_LOCK = 3 * _LINE, 3 * _LINE + 8
FAILED, CODE, ERROR = (4 * _LINE + 8 * i for i in range(3))
STOP, PATIENCE, WORKERS = (5 * _LINE + 8 * i for i in range(3))
BUSY = 6 * _LINE
MEMBERS = 7 * _LINE  # from here on four lines for each thread, the caller's first
MEMBER = 4 * _LINE
TICKET, NEXT, END, ASLEEP, LOCK, OWN_ERROR, POOL, NUMBER = (
    0, 1 * _LINE, 1 * _LINE + 8, 2 * _LINE, 2 * _LINE + 8, 3 * _LINE, 3 * _LINE + 8, 3 * _LINE + 16,
)  # fmt: skip


# ----- words, as all threads see them -----


def _unavailable(*args):
    raise NotImplementedError("the pool's threads are compiled; NUMBA_DISABLE_JIT=1 has none")


def _pointer(builder, address):
    return builder.inttoptr(address, ir.IntType(64).as_pointer())


@intrinsic(twin=_unavailable)
def load(typingctx, address):
    def codegen(context, builder, signature, args):
        return builder.load_atomic(_pointer(builder, args[0]), "seq_cst", 8)

    return types.intp(types.intp), codegen


@intrinsic(twin=_unavailable)
def store(typingctx, address, value):
    def codegen(context, builder, signature, args):
        builder.store_atomic(args[1], _pointer(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic(twin=_unavailable)
def add(typingctx, address, value):
    """Add to a word; return what it was."""

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], "seq_cst")

    return types.intp(types.intp, types.intp), codegen


@intrinsic(twin=_unavailable)
def swap(typingctx, address, value):
    """Set a word; return what it was."""

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("xchg", _pointer(builder, args[0]), args[1], "seq_cst")

    return types.intp(types.intp, types.intp), codegen


@intrinsic(twin=_unavailable)
def change(typingctx, address, old, new):
    """Set a word that is ``old``; say whether it was."""

    def codegen(context, builder, signature, args):
        pair = builder.cmpxchg(_pointer(builder, args[0]), args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.intp, types.intp, types.intp), codegen


@intrinsic(twin=_unavailable)
def call_slice(typingctx, function, block, first, second, error):
    """Run a slice of a kernel; return its error code."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.IntType(32), [word] * 4)
        function = builder.inttoptr(args[0], kind.as_pointer())
        return builder.sext(builder.call(function, args[1:]), word)

    return types.intp(*(types.intp,) * 5), codegen


def _c_function(name, *constants):
    """Make an intrinsic that calls a C function with an address."""

    def codegen(context, builder, signature, args):
        arguments = [*args, *(ir.Constant(ir.IntType(32), value) for value in constants)]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
        return context.get_dummy_value()

    def call(typingctx, address):
        return types.void(types.intp), codegen

    return intrinsic(call, twin=_unavailable)


def _declare_c_functions():
    """Tell compiled code where the C functions are that threads sleep and wake with."""
    python = ctypes.pythonapi
    posix = hasattr(os, "sched_yield")
    system = ctypes.CDLL(None if posix else "kernel32")
    for name, function in {
        "tinygrad_rnn_acquire": python.PyThread_acquire_lock,
        "tinygrad_rnn_release": python.PyThread_release_lock,
        "tinygrad_rnn_yield": system.sched_yield if posix else system.SwitchToThread,
    }.items():
        binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)


_declare_c_functions()
sleep_on = _c_function("tinygrad_rnn_acquire", 1)
wake_on = _c_function("tinygrad_rnn_release")
give_way = _c_function("tinygrad_rnn_yield")


# ----- a job -----


@helper
def work(pool, member):
    """Do a thread's part of the job."""
    own = pool + MEMBERS + member * MEMBER
    function, block = load(pool + FUNCTION), load(pool + BLOCK)
    count, chunk, threads = load(pool + COUNT), load(pool + CHUNK), load(pool + THREADS)
    if chunk == 0:  # a team: everybody runs once
        note(pool, own, call_slice(function, block, member, threads, own + OWN_ERROR))
        return
    for turn in range(threads):
        share = pool + MEMBERS + (member + turn) % threads * MEMBER
        end = load(share + END)
        piece = add(share + NEXT, 1)
        while piece < end:
            first = piece * chunk
            stop = min(first + chunk, count)
            note(pool, own, call_slice(function, block, first, stop, own + OWN_ERROR))
            piece = add(share + NEXT, 1)


@helper
def note(pool, own, code):
    """Keep the first error of a job."""
    if code != 0 and swap(pool + FAILED, 1) == 0:
        store(pool + CODE, code)
        store(pool + ERROR, load(own + OWN_ERROR))


@helper
def run(pool, threads, chunk, count, function, block, error):
    """Run a job on up to ``threads`` threads; return the error code of a slice, or 0."""
    threads = min(threads, load(pool + WORKERS) + 1)
    if threads < 2 or not change(pool + BUSY, 0, 1):
        if chunk == 0:
            return call_slice(function, block, 0, 1, error)
        return call_slice(function, block, 0, count, error)
    store(pool + FUNCTION, function)
    store(pool + BLOCK, block)
    store(pool + COUNT, count)
    store(pool + CHUNK, chunk)
    store(pool + THREADS, threads)
    store(pool + PENDING, threads - 1)
    pieces = (count + chunk - 1) // chunk if chunk > 0 else 0
    for member in range(threads):
        share = pool + MEMBERS + member * MEMBER
        store(share + NEXT, pieces * member // threads)
        store(share + END, pieces * (member + 1) // threads)
    for member in range(1, threads):
        own = pool + MEMBERS + member * MEMBER
        store(own + TICKET, 1)
        if swap(own + ASLEEP, 0) == 1:
            wake_on(load(own + LOCK))
    work(pool, 0)
    if chunk > 0:
        for member in range(1, threads):
            if change(pool + MEMBERS + member * MEMBER + TICKET, 1, 0):
                add(pool + PENDING, -1)
    wait(pool)
    code = 0
    if load(pool + FAILED) == 1:
        code = load(pool + CODE)
        store(error, load(pool + ERROR))
        store(pool + FAILED, 0)
    store(pool + BUSY, 0)
    return code


@helper
def wait(pool):
    """Wait until no worker has a part of the job any more."""
    patience = load(pool + PATIENCE)
    while load(pool + PENDING) > 0:
        if patience > 0:
            patience -= 1
            give_way(0)
            continue
        swap(pool + CALLER_ASLEEP, 1)
        if load(pool + PENDING) == 0 and change(pool + CALLER_ASLEEP, 1, 0):
            return
        sleep_on(load(pool + CALLER_LOCK))


@intrinsic(twin=_unavailable)
def address_of_run(typingctx):
    """Return where a C function stands that calls ``run``."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        run.compile((types.intp,) * 7)
        compiled = run.overloads[(types.intp,) * 7]
        context.add_linking_libs([compiled.library])
        function = ir.Function(
            builder.module, ir.FunctionType(word, [word] * 7), "tinygrad_rnn_run"
        )
        function.linkage = "internal"
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        callee = context.declare_function(builder.module, compiled.fndesc)
        _, result = context.call_conv.call_function(
            inner, callee, types.intp, compiled.signature.args, function.args
        )
        inner.ret(result)
        return builder.ptrtoint(function, word)

    return types.intp(), codegen


@kernel("intp")
def serve(own):
    """Be a worker: look for jobs and do them until the pool stops."""
    pool, member = load(own + POOL), load(own + NUMBER)
    store(pool + RUN, address_of_run())  # the first job comes only after this
    patience = load(pool + PATIENCE)
    while load(pool + STOP) == 0:
        if load(own + TICKET) == 1 and change(own + TICKET, 1, 0):
            work(pool, member)
            if add(pool + PENDING, -1) == 1 and swap(pool + CALLER_ASLEEP, 0) == 1:
                wake_on(load(pool + CALLER_LOCK))
            patience = load(pool + PATIENCE)
        elif patience > 0:
            patience -= 1
            give_way(0)
        else:
            swap(own + ASLEEP, 1)
            missed = load(own + TICKET) == 1 or load(pool + STOP) == 1
            if not (missed and change(own + ASLEEP, 1, 0)):
                sleep_on(load(own + LOCK))
            patience = load(pool + PATIENCE)


@helper
def barrier(words, workers):
    """Wait in a kernel of a team until all of it have come here.

    ``words`` is the address of 16 int64 zeros, on a line of their own and used by nothing
    else. No worker may raise on its way here: the others would wait for it forever.
    """
    if workers == 1:
        return
    arrived, turn = words, words + _LINE
    now = load(turn)
    if add(arrived, 1) == workers - 1:
        store(arrived, 0)
        store(turn, now + 1)
        return
    looks = 0
    while load(turn) == now:
        looks += 1
        if looks % 256 == 0:  # there may be fewer cores than threads
            give_way(0)
