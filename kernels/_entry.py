"""What stands between Python and the body of a kernel, emitted as LLVM code.

Around every body: denormals are flushed to zero, and the caller's mode is given back also
when the body fails. Around a body that takes a slice: one compiled function that runs a
slice of it, so that the threads of ``_crew`` can, without Python and without the GIL.
"""

from types import SimpleNamespace

from tinygrad_rnn.kernels._numba import ARCHITECTURE, cgutils, extending, ir, types

PREPARE = -1

_FTZ_AND_DAZ = 0x8040  # of MXCSR, on x86
_FZ = 1 << 24  # of FPCR, on ARM


def entry(body, sliced):
    """Return the function, still to be compiled, that Python calls for a compiled ``body``.

    A sliced one takes three numbers before the body's arguments: the address of a pool (0
    for a call of the body as it is), the threads to use, and the length of a slice (0 for
    a team). With the length PREPARE it runs nothing, but leaves at an address what is needed
    to run it again and again with the same arguments; see ``_chain``.
    """
    function = body.py_func
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    emit, extra = (_emit_sliced, ("_pool", "_threads", "_chunk")) if sliced else (_emit_plain, ())

    def typed(typingctx, *given):
        arguments = given[len(extra) :]
        body.compile(arguments)
        compiled = body.overloads[arguments]
        if sliced and compiled.signature.return_type != types.none:
            raise TypeError(f"{function.__qualname__}: a kernel of a slice returns nothing.")

        def codegen(context, builder, signature, values):
            context.add_linking_libs([compiled.library])
            return emit(context, builder, compiled, values)

        return compiled.signature.return_type(*given), codegen

    return _named(body, typed, extra + names)


def loop_entry(body, arguments):
    """Return the function, still to be compiled, that says where NumPy finds a loop.

    What NumPy calls takes three addresses (of the arrays' addresses, the sizes and the
    steps) and a fourth number; the body takes these and a number of the element type.
    """

    def typed(typingctx):
        body.compile(arguments)
        compiled = body.overloads[arguments]

        def codegen(context, builder, signature, values):
            context.add_linking_libs([compiled.library])
            return builder.ptrtoint(_loop_function(context, builder, compiled), ir.IntType(64))

        return types.intp(), codegen

    return _named(body, typed, ())


def _loop_function(context, builder, compiled):
    """Emit ``void loop(data, sizes, steps, number)``, which runs the body."""
    *numbers, like = map(context.get_value_type, compiled.signature.args)
    kind = ir.FunctionType(ir.VoidType(), numbers)
    function = ir.Function(builder.module, kind, f"loop.{compiled.fndesc.mangled_name}")
    function.linkage = "internal"
    inner = ir.IRBuilder(function.append_basic_block("entry"))
    _flushed_call(context, inner, compiled, [*function.args, ir.Constant(like, 0)])
    inner.ret_void()
    return function


def _named(body, typed, names):
    """Return a function of ``names`` that is what ``typed`` says, to Numba and its cache."""
    function = body.py_func
    all_names = ", ".join(names)
    # Numba reads names and number of arguments off a function, so they are written out.
    scope = {"typed": typed, "__name__": function.__module__}
    after = f"typingctx, {all_names}"
    exec(f"def call({after}): return typed({after})", scope)
    scope["_call"] = extending.intrinsic(scope["call"])
    source = f"def {function.__name__}({all_names}): return _call({all_names})"
    # Numba's cache wants to know of a file; that of the body is the true one.
    exec(compile(source, function.__code__.co_filename, "exec"), scope)
    made = scope[function.__name__]
    made.__qualname__ = f"{function.__qualname__}__entry"
    return made


def _emit_plain(context, builder, compiled, values):
    """Call the body."""
    status, result = _flushed_call(context, builder, compiled, values)
    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)
    return result


def _emit_sliced(context, builder, compiled, values):
    """Call the body here, hand slices of it to the pool, or prepare for later calls."""
    pool, threads, chunk, first, second, *rest = values
    rest = _borrowed(context, builder, compiled.signature.args[2:], rest)
    word, code_type = ir.IntType(64), ir.IntType(32)
    block = cgutils.alloca_once(builder, ir.LiteralStructType([value.type for value in rest]))
    for i, value in enumerate(rest):
        builder.store(value, cgutils.gep_inbounds(builder, block, 0, i))
    run_slice = _slice_function(context, builder.module, compiled, block.type)
    error = cgutils.alloca_once_value(builder, cgutils.get_null_value(_error_type(context)))
    code = cgutils.alloca_once_value(builder, ir.Constant(code_type, 0))
    preparing = builder.icmp_signed("==", chunk, ir.Constant(word, PREPARE))
    alone = builder.icmp_unsigned("==", pool, ir.Constant(word, 0))
    with builder.if_else(preparing) as (prepare, call):
        with prepare:
            _leave(context, builder, run_slice, block, first, second)
        with call, builder.if_else(alone) as (here, handed):
            with here:
                builder.store(builder.call(run_slice, [block, first, second, error]), code)
            with handed:
                pointers = run_slice, block, error
                addresses = [builder.ptrtoint(pointer, word) for pointer in pointers]
                arguments = [pool, threads, chunk, second, *addresses]
                builder.store(_call_run(builder, arguments), code)
    failed = builder.icmp_signed("!=", builder.load(code), ir.Constant(code_type, 0))
    with cgutils.if_unlikely(builder, failed):
        status = SimpleNamespace(code=builder.load(code), excinfoptr=builder.load(error))
        context.call_conv.return_status_propagate(builder, status)
    return context.get_dummy_value()


def _borrowed(context, builder, kinds, values):
    """The arguments without their counts of references: whoever calls keeps the arrays."""
    borrowed = []
    for kind, value in zip(kinds, values, strict=True):
        if isinstance(kind, types.Array):
            array = context.make_array(kind)(context, builder, value)
            array.meminfo = cgutils.get_null_value(array.meminfo.type)
            array.parent = cgutils.get_null_value(array.parent.type)
            value = array._getvalue()
        borrowed.append(value)
    return borrowed


def _leave(context, builder, run_slice, block, address, room):
    """Leave at an address: where ``run_slice`` stands, the block's size, the block if it fits."""
    word = ir.IntType(64)
    size = ir.Constant(word, context.get_abi_sizeof(block.type.pointee))
    target = builder.inttoptr(address, word.as_pointer())
    builder.store(builder.ptrtoint(run_slice, word), target)
    builder.store(size, builder.gep(target, [ir.Constant(word, 1)]))
    with builder.if_then(builder.icmp_signed("<=", size, room)):
        place = builder.gep(target, [ir.Constant(word, 2)])
        cgutils.raw_memcpy(builder, place, block, size, 1)


def _call_run(builder, arguments):
    """Call the pool; return the error code of a slice that failed, or 0."""
    kind = ir.FunctionType(ir.IntType(64), [value.type for value in arguments])
    # By its address, which stands in the pool: linked into each kernel it would cost each
    # of them 60 ms to compile.
    pool = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
    run = builder.inttoptr(builder.load(pool), kind.as_pointer())
    return builder.trunc(builder.call(run, arguments), ir.IntType(32))


def _slice_function(context, module, compiled, block_type):
    """Emit ``int32 slice(block, first, second, error)``, which runs the body on a slice."""
    word, code_type = ir.IntType(64), ir.IntType(32)
    error_type = _error_type(context)
    kind = ir.FunctionType(code_type, [block_type, word, word, error_type.as_pointer()])
    function = ir.Function(module, kind, f"slice.{compiled.fndesc.mangled_name}")
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    block, first, second, error = function.args
    count = len(block_type.pointee.elements)
    rest = [builder.load(cgutils.gep_inbounds(builder, block, 0, i)) for i in range(count)]
    status, _ = _flushed_call(context, builder, compiled, [first, second, *rest])
    builder.store(status.excinfoptr, error)
    builder.ret(builder.select(status.is_error, status.code, ir.Constant(code_type, 0)))
    return function


def _error_type(context):
    """Return the LLVM type of a pointer to what Numba knows about an exception."""
    kind = context.call_conv.get_function_type(types.none, ())
    return kind.args[1].pointee


def _flushed_call(context, builder, compiled, values):
    """Emit the call of a body with denormals flushed to zero; return its status and result.

    Vanishing gradients make numbers under 1e-38 by themselves, and they slow a product a
    hundredfold. The body is not inlined, so that nothing moves out of the flushed region,
    and its status is looked at only after the caller's mode is back.
    """
    function = context.declare_function(builder.module, compiled.fndesc)
    restore = _flush_denormals(builder)
    status, result = context.call_conv.call_function(
        builder,
        function,
        compiled.signature.return_type,
        compiled.signature.args,
        values,
        attrs=("noinline",),
    )
    restore()
    return status, result


def _flush_denormals(builder):
    """Emit the change of mode; return a function that emits the change back."""
    void, word, wide = ir.VoidType(), ir.IntType(32), ir.IntType(64)

    def external(name, kind):
        return cgutils.get_or_insert_function(builder.module, kind, name)

    if ARCHITECTURE == "x86":
        byte = ir.IntType(8).as_pointer()
        store = external("llvm.x86.sse.stmxcsr", ir.FunctionType(void, [byte]))
        load = external("llvm.x86.sse.ldmxcsr", ir.FunctionType(void, [byte]))
        saved, flushed = (cgutils.alloca_once(builder, word) for _ in range(2))
        builder.call(store, [builder.bitcast(saved, byte)])
        mode = builder.or_(builder.load(saved), ir.Constant(word, _FTZ_AND_DAZ))
        builder.store(mode, flushed)
        builder.call(load, [builder.bitcast(flushed, byte)])
        return lambda: builder.call(load, [builder.bitcast(saved, byte)])
    if ARCHITECTURE == "arm":
        get = external("llvm.aarch64.get.fpcr", ir.FunctionType(wide, []))
        put = external("llvm.aarch64.set.fpcr", ir.FunctionType(void, [wide]))
        before = builder.call(get, [])
        builder.call(put, [builder.or_(before, ir.Constant(wide, _FZ))])
        return lambda: builder.call(put, [before])
    return lambda: None
