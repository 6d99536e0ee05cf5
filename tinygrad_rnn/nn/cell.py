"""Cell: the equations of one step, as a module that can be called, trained and read."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType, SimpleNamespace
from typing import Any, Literal, Self, Unpack

import numpy as np

from tinygrad_rnn import ops, random
from tinygrad_rnn.arguments import choice, flag, written
from tinygrad_rnn.device import array_module, there
from tinygrad_rnn.errors import CellError, ModuleError, TraceError
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.tracing import (
    Declaration,
    check_step,
    declaration,
    trace_with_names,
)
from tinygrad_rnn.modes import no_grad, recording
from tinygrad_rnn.nn import cell_changes
from tinygrad_rnn.nn.cell_options import CellKeywords, CellOptions
from tinygrad_rnn.nn.cell_weights import configure, draw_weight, equations, is_bias, make_weight
from tinygrad_rnn.nn.changes import CHANGES
from tinygrad_rnn.nn.checks import check_call, check_initializers, check_letters
from tinygrad_rnn.nn.composite import step_by_step
from tinygrad_rnn.nn.constructing import arguments_for, check_keywords, made_later
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.options import FUSED, Fused
from tinygrad_rnn.nn.single_step import State, one_step
from tinygrad_rnn.nn.warning import warn_step_by_step
from tinygrad_rnn.ops.record import Record
from tinygrad_rnn.ops.recurrence import obstacle, source_of, unfusable
from tinygrad_rnn.tensor import Tensor

__all__ = ["Cell"]

Initializer = Callable[[Tensor], Any]

# Equal programs are one object: kernels are found by it.
_programs: dict[Program, Program] = {}

_MADE = "_traced", "_names", "_options"  # what tracing leaves behind: no equation asks for it


class Cell(Module):
    """One step of a recurrence, written as its equations; layers run it over sequences.

        class Leaky(nn.Cell):
            state = ("h",)
            params = {"w_x": "I H", "w_h": "H H", "b": "H", "a": ""}

            def step(self, x, h, p):
                new = (x @ p.w_x + h @ p.w_h + p.b).tanh()
                a = p.a.sigmoid()
                return a * h + (1 - a) * new

    ``state`` names the rows that are carried, each H wide unless written as
    ``{"h": "P", "c": "H"}``; ``step`` takes and returns them in that order. ``params`` gives
    each weight's shape in letters: I and H are the sizes of input and state, any other is an
    argument of the constructor. A cell with ``input = None`` has no x. A layer gives out the
    first state, unless ``output(*state)`` says otherwise.

    Rows named ``b`` or ``b_...`` are biases: with ``bias=False`` there are none, and the
    equations read a 0 in their place. Matrices that a state is multiplied with start
    orthogonal, others as Xavier has it (each gate as a weight of its own), biases at 0, other
    vectors small, numbers at 1; ``initializers`` overrules this for the weights it names.

    Called, a cell does one step: ``h, c = LSTMCell(8, 16)(x, (h, c))``.

    Args:
        input_size: I. A cell without input takes only ``hidden_size``.
        hidden_size: H.
        bias: Whether there are biases.
        letters: The sizes of other letters in ``params`` and ``state``, such as ``P=4``.
    """

    state: Sequence[str] | Mapping[str, str] = ()
    params: Mapping[str, str] = MappingProxyType({})
    input: str | None = "I"
    initializers: Mapping[str, Initializer] = MappingProxyType({})

    # True: fused where it can be. False: step by step. "require": raise where it cannot be.
    fused: Fused = True

    # The options that ``configure`` was given, and what was made of them.
    chosen: Mapping[str, Any] = MappingProxyType({})
    _options: CellOptions | None = None

    # What the constructor makes.
    _declared: Declaration = made_later("_declared")
    constants: dict[str, float] = made_later("constants")
    sizes: dict[str, int] = made_later("sizes")
    state_sizes: dict[str, int] = made_later("state_sizes")
    hidden_size: int = made_later("hidden_size")
    input_size: int | None = made_later("input_size")
    _own_sequence = False  # whether a subclass runs sequences its own way, or by other numbers
    _traced: Program | TraceError | None = None
    _names: Mapping[str, int] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Note what the subclass does itself."""
        super().__init_subclass__(**kwargs)
        ways = "sequence", "weights", "zero_state"
        cls._own_sequence = any(getattr(cls, way) is not getattr(Cell, way) for way in ways)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse keywords that the constructor does not know, with those that it does."""
        check_keywords(cls, kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(
        self,
        input_size: int | None = None,
        hidden_size: int | None = None,
        *,
        bias: bool = True,
        **letters: int,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        if self.input is None:
            hidden_size = input_size if hidden_size is None else hidden_size
            input_size = None
            if type(self).__init__ is Cell.__init__:
                kwargs = {"hidden_size": hidden_size, "bias": bias, **letters}
                self._arguments = SimpleNamespace(args=(), kwargs=kwargs)
        self._declared = declaration(self)
        check_step(self, self._declared)
        check_initializers(where, self.initializers, self.params)
        choice(where, "fused", self.fused, FUSED)
        self.bias = flag(where, "bias", bias)
        self.constants = {}
        if not bias:
            names = [n for n, shape in self.params.items() if is_bias(n, shape)]
            self.constants = dict.fromkeys(names, 0.0)
            self.params = {n: s for n, s in self.params.items() if n not in self.constants}
            self._declared = declaration(self)
        given = {"H": hidden_size} | ({} if self.input is None else {"I": input_size}) | letters
        self.sizes = sizes = check_letters(where, self._declared, given)
        self.hidden_size, self.input_size = sizes["H"], sizes.get("I")
        self.state_sizes = {name: width.of(sizes) for name, width in self._declared.states}
        for name, _ in self._declared.params:
            make_weight(self, name)
        self.reset_parameters()

    # ----- what a subclass says -----

    def step(self, *rows: Any) -> Any:
        """``step(x, *state, p)`` -> the new state; in terms that Tensors and symbols share."""
        raise NotImplementedError(
            f"{type(self).__name__} has no method step, which holds its equations; define "
            "step(self, x, *state, p), returning the new state."
        )

    def output(self, *state: Any) -> Any:
        """What a layer gives out, by the new state."""
        return state[0]

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        for name, _ in self._declared.params:
            draw_weight(self, name)

    def configure(self, **options: Unpack[CellKeywords]) -> Self:
        """Set options, besides those that are set already; gives the cell back.

            nn.LSTMCell(8, 16).configure(zoneout={"h": 0.05, "c": 0.5}, layer_norm=True)

        ``help(nn.cell_options.CellKeywords)`` lists what there is. Weights that options add stand
        beside the others; those whose shape changes are drawn anew.
        """
        configure(self, options)
        return self

    # ----- the program, and how it is run -----

    @property
    def program(self) -> Program:
        """The equations as a list of operations; TraceError where they cannot be traced."""
        found = self._trace()
        if isinstance(found, TraceError):
            raise found.with_traceback(None)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "fused":
            choice(type(self).__name__, name, value, FUSED)
        known = vars(self).get(name, self)
        super().__setattr__(name, value)
        # Traced of each cell anew, and again when an attribute changes: equations may depend on
        # its sizes, on whether it is training, on whatever is no weight.
        if value is not known and name not in _MADE and not isinstance(value, Tensor | Module):
            self._forget_program()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._forget_program()

    def _forget_program(self) -> None:
        vars(self).pop("_traced", None)
        CHANGES.note()  # again: another thread may have seen the old one since it was set

    def _trace(self) -> Program | TraceError:
        if self._traced is None:
            try:
                program, names = trace_with_names(self, recording.get)
                if options := self.options:
                    program, names = options.applied(program, names, self.training, self.output)
                self._names = names
            except TraceError as error:
                if isinstance(error, CellError):
                    raise
                self._traced = error
                return error
            if unused := program.unused_params():
                raise ModuleError(
                    f"{type(self).__name__}: step never uses {', '.join(map(repr, unused))}, "
                    "expected every weight of params to be used: it would never be trained."
                )
            self._traced = _programs.setdefault(program, program)
        return self._traced

    @property
    def row_names(self) -> Mapping[str, int]:
        """The lines of the program that have a name: new states, and variables of the step."""
        _ = self.program
        return self._names

    def _obstacle(self) -> str:
        """Why sequences do not run as one kernel, or nothing."""
        if not self.fused:
            return "fused=False"
        found = self._trace()
        if isinstance(found, TraceError):
            return str(found)
        weight = self.any_weight()
        return obstacle(found, np.empty(0, np.float32) if weight is None else weight._data)

    @property
    def options(self) -> CellOptions | None:
        """The options that are set, or None."""
        if self._options is None and self.chosen:
            self._options = CellOptions(type(self).__name__, equations(self), self.chosen)
        return self._options

    @property
    def draws(self) -> bool:
        """Whether a call draws random numbers: some of the options do, while training."""
        return self.training and bool(self.chosen) and self.options.draws  # type: ignore[union-attr]

    def given_out(self, states: Sequence[Tensor]) -> Tensor:
        """What a layer gives out at the end, by the final states."""
        if (options := self.options) and options.projects_output:
            return ops.matmul(states[0], getattr(self, cell_changes.Projection.weight))
        output: Tensor = self.output(*states)
        return output

    @property
    def plan(self) -> Literal["fused", "composite"]:
        """Whether sequences run as one kernel, or step by step in operations on Tensors."""
        reason = self._obstacle()
        if reason and self.fused == "require":
            raise TraceError(f"{type(self).__name__} cannot be fused: {reason}.")
        return "composite" if reason else "fused"

    def kernel_source(self) -> str:
        """The text of the kernels that are written for the cell where its weights are."""
        weights = iter(self.weights().values())
        return source_of(self.program, getattr(next(weights, None), "device", "cpu"))

    def weights(self) -> dict[str, Any]:
        """The weights by name."""
        return {name: getattr(self, name) for name, _ in self._declared.params}

    def sequence(
        self,
        x: Tensor | None,
        states: Sequence[Tensor],
        *,
        steps: int | None = None,
        mask: Any = None,
        reverse: bool = False,
        restart: Sequence[Tensor] | None = None,
        noise: Noise | None = None,
        recompute: bool | int = False,
        record: Record | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Run over a sequence: outputs (T, B, width) and the final states.

        x (T, B, I), or None with ``steps``; states (B, width) each; noise for the options that
        drop something, drawn if there is none; ``record``, if there is one, is that of
        ``record_of(cell)``; the rest as for ``ops.recurrence``.
        """
        found = self._trace()
        if self.fused == "require":
            _ = self.plan
        how: dict[str, Any] = {"mask": mask, "reverse": reverse, "restart": restart}
        how["record"] = record
        if isinstance(found, Program):
            weights, settings = self.weights(), None
            if options := self.options:
                settings = options.settings()
                if self.draws:
                    noise = random.noise() if noise is None else noise
                    weights = options.weights(weights, noise)
                    if record is not None:
                        record.prepare(self.weights(), partial(options.weights, noise=noise))
            y, finals = ops.recurrence(
                found, x, states, weights, settings=settings, noise=noise, steps=steps,
                composite=not self.fused, recompute=recompute, **how,
            )  # fmt: skip
        else:
            try:
                y, finals = step_by_step(self, x, states, steps=steps, **how)
            except Exception as error:
                error.add_note(f"{type(self).__name__} has no kernel, runs on Tensors: {found}.")
                raise
        if self.fused and (reason := _why_slow(found, states[0])):
            warn_step_by_step(type(self), reason)
        return y, finals

    # ----- sizes and states -----

    @property
    def output_size(self) -> int:
        """How wide the output is."""
        found = self._trace()
        if isinstance(found, Program):
            return found.operations[found.output].width.of(self.sizes)
        with no_grad():
            zeros = [Tensor(np.zeros((1, n), np.float32)) for n in self.state_sizes.values()]
            return int(self.output(*zeros).shape[-1])

    def zero_state(self, rows: int, dtype: Any = None) -> list[Tensor]:
        """States of zeros, where the weights are, and of their type unless another is given."""
        weight = self.any_weight()
        dtype = dtype or (np.float32 if weight is None else weight.dtype)
        xp = np if weight is None else array_module(weight._data)
        with there(None if weight is None else weight._data):
            return [Tensor(xp.zeros((rows, n), dtype)) for n in self.state_sizes.values()]

    def any_weight(self) -> Tensor | None:
        """Any of the weights; they share device and type."""
        for name, _ in self._declared.params:
            return getattr(self, name)  # type: ignore[no-any-return]
        return next(self.parameters(), None)

    def forward(
        self,
        x: Any = None,
        state: Any = None,
        *more: Any,
        noise: Noise | None = None,
        **unknown: Any,
    ) -> State:
        """One step: x (B, I) or (I) and the state -> the new state, a tuple if there are several.

        No state means zeros. A cell without input takes the state alone. ``noise`` is for options
        that drop something: at step t ``noise.later(t)`` of one ``random.noise()`` for the whole
        sequence; drawn anew if it is not given.
        """
        if more or unknown:
            known = [*([] if self.input is None else ["x"]), "state", "noise"]
            check_call(type(self).__name__, [*self.state_sizes], known, more, unknown)
        return one_step(self, x, state, noise)

    def clone(self, **sizes: int) -> Self:
        """A new cell with the same arguments, but other sizes, and weights drawn anew."""
        made_with = self._arguments
        arguments = arguments_for(self, made_with.args, made_with.kwargs, sizes)
        copy = type(self)(**arguments)
        copy.fused = self.fused
        if self.chosen:
            copy.configure(**self.chosen)
        weight = self.any_weight()
        return copy if weight is None else copy.astype(weight.dtype).to(weight.device)

    def __getstate__(self) -> dict[str, Any]:
        """What deepcopy and pickle take along: the equations are traced anew."""
        state: dict[str, Any] = super().__getstate__()
        made = ("_traced", "_names", "_options")
        return {key: value for key, value in state.items() if key not in made}

    def extra_repr(self) -> str:
        """The arguments of the constructor, and the options."""
        sizes, named = list(self._arguments.args), {**self._arguments.kwargs, **self.chosen}
        sizes += [named.pop(n) for n in ("input_size", "hidden_size")[len(sizes) :] if n in named]
        return ", ".join([*map(written, sizes), *(f"{n}={written(v)}" for n, v in named.items())])


def _why_slow(found: Program | TraceError, state: Tensor) -> str:
    """What about a cell keeps it from a kernel; that nobody can have one here is no fault of it."""
    if isinstance(found, TraceError):
        return str(found)
    if state._data.dtype.char not in "fdFD":  # complex numbers are steps of numeric derivatives
        return obstacle(found, state._data)
    return unfusable(found)
