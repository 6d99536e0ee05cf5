"""Module: parameters, buffers and smaller modules under their names, and what to compute."""

from collections.abc import Callable, Iterator, Mapping
from reprlib import recursive_repr
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tinygrad_rnn.arguments import dtype_of, function_of
from tinygrad_rnn.device import Array, normalize_device, to_device
from tinygrad_rnn.errors import DTypeError, ModuleError
from tinygrad_rnn.nn.assigning import check_buffer, check_free, check_kind, check_name, not_a_member
from tinygrad_rnn.nn.changes import CHANGES
from tinygrad_rnn.nn.constructing import arguments_by_name
from tinygrad_rnn.nn.members import CONTAINERS, dotted, first_of_each, held_by, joined
from tinygrad_rnn.nn.parameter import Parameter, own, replace
from tinygrad_rnn.nn.placing import called_there, several
from tinygrad_rnn.nn.state_dict import IncompatibleKeys, load, snapshot
from tinygrad_rnn.nn.symbol import Symbol
from tinygrad_rnn.tensor import FLOATS, HookHandle, Tensor, as_array

if TYPE_CHECKING:
    from tinygrad_rnn.nn.summary import Summary

__all__ = ["Module"]

ForwardHook = Callable[["Module", tuple[Any, ...], Any], Any]

# Where a module stands: its name, itself, and its own parameters and modules by name.
_Place = tuple[str, "Module", tuple[tuple[str, "Parameter | Module"], ...]]


class Module:
    """The base of everything with parameters; ``forward`` says what a subclass computes.

        class Tagger(nn.Module):
            def __init__(self, words, tags):
                super().__init__()
                self.embedding = nn.Embedding(words, 32)
                self.out = nn.Linear(32, tags)

            def forward(self, ids):
                return self.out(self.embedding(ids))

    Parameters and modules are found where they are assigned, also inside lists, tuples and
    dicts: ``self.layers = [...]`` gives names such as ``layers.0.weight``. They are looked
    for whenever they are asked for, so a list may grow later. A module that should be known
    but not owned, such as a parent, is held by a ``weakref.ref``.

    What stands under several names, a module or a parameter, is one object: ``parameters()``
    gives it once, ``state_dict()`` under each name.
    """

    # Defaults of the class: nothing has to be set up before the first assignment.
    training: bool = True
    _buffers: Mapping[str, bool] = MappingProxyType({})  # name -> whether the state dict has it
    _forward_hooks: Mapping[int, ForwardHook] = MappingProxyType({})

    # A plain object, so that modules among the arguments are not found a second time.
    _arguments: SimpleNamespace

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments, by which another can be made that is like it."""
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError(f"{cls.__name__}() takes no arguments")
        module = super().__new__(cls)
        object.__setattr__(module, "_arguments", SimpleNamespace(args=args, kwargs=kwargs))
        return module

    # ----- what it computes -----

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; called by calling the module."""
        raise NotImplementedError(
            f"{type(self).__name__} has no method forward, which says what a module computes; "
            "define forward(self, ...)."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output: what ``forward`` returns, after the hooks."""
        for given in (*args, *kwargs.values()) if kwargs else args:
            if isinstance(given, Symbol):
                return given.called(self, args, kwargs)
        result = called_there(self, args, kwargs) if several() else self.forward(*args, **kwargs)
        # A copy: hooks may come and go meanwhile, in a hook or in another thread.
        for hook in tuple(self._forward_hooks.values()):
            answer = hook(self, args, result)
            if answer is not None:
                result = answer
        return result

    def register_forward_hook(self, hook: ForwardHook) -> HookHandle:
        """Call ``hook(module, args, output)`` after every forward pass of this module.

        What it returns, if not None, takes the place of the output. Copies of the module
        have no hooks.
        """
        function_of("register_forward_hook", "hook", hook)
        return HookHandle(vars(self).setdefault("_forward_hooks", {}), hook)

    # ----- assigning -----

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, MEMBERS):
            check_name(self, Module, name, value)
            self._forget_buffer(name)
        elif name in self._buffers:
            check_buffer(self, name, value)
        elif value is not None and isinstance(self.__dict__.get(name), MEMBERS):
            raise not_a_member(self, name, value)
        object.__setattr__(self, name, value)
        CHANGES.note()

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        CHANGES.note()
        self._forget_buffer(name)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Keep a tensor that is not trained but belongs to the module, such as a running mean.

        Args:
            tensor: A Tensor, an array to be copied, or None where it comes later.
            persistent: Whether the state dict holds it.
        """
        if tensor is not None and not isinstance(tensor, Tensor):
            tensor = Tensor(own(as_array(tensor)))
        check_name(self, Module, name, tensor)
        if name not in self._buffers:
            check_free(self, name)
        check_buffer(self, name, tensor)
        self._buffers = {**self._buffers, name: bool(persistent)}
        object.__setattr__(self, name, tensor)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Assign a parameter to a name that is free; None says that there is none."""
        check_kind(self, name, Parameter, parameter)
        check_free(self, name)
        setattr(self, name, parameter)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Assign a module to a name that is free; None says that there is none."""
        check_kind(self, name, Module, module)
        check_free(self, name)
        setattr(self, name, module)

    def _forget_buffer(self, name: str) -> None:
        if name in self._buffers:
            self._buffers = {key: kept for key, kept in self._buffers.items() if key != name}

    # ----- listing -----

    def _members(self) -> "Iterator[tuple[str, Parameter | Module]]":
        """Its own parameters and the modules directly below it, in the order of assignment."""
        for name, value in tuple(self.__dict__.items()):
            if isinstance(value, MEMBERS):
                yield name, value
            elif isinstance(value, CONTAINERS) and name != "_forward_hooks":
                for path, member in held_by(value, MEMBERS, (name,)):
                    yield joined(path), member

    def _walk(self, prefix: str, above: tuple[int, ...] = ()) -> "Iterator[_Place]":
        """This module and all below, under every name, with the members of each.

        A cycle ends where it closes.
        """
        if id(self) in above:
            return
        members = tuple(self._members())
        yield prefix, self, members
        for name, member in members:
            if isinstance(member, Module):
                yield from member._walk(dotted(prefix, name), (*above, id(self)))

    def _tensors(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Tensor, bool]]:
        """Parameters and buffers under every name, and whether the state dict holds them."""
        for place, module, members in self._walk(prefix):
            module._check_made(place)
            for name, member in members:
                if isinstance(member, Parameter):
                    yield dotted(place, name), member, True
            for name, persistent in module._buffers.items():
                buffer = module.__dict__.get(name)
                if buffer is not None:
                    yield dotted(place, name), buffer, persistent
            if not recurse:
                return

    def _check_made(self, place: str) -> None:
        """Raise if parameters are still to be made; listings that lack some would be wrong."""

    def named_modules(self, prefix: str = "") -> "Iterator[tuple[str, Module]]":
        """This module and all below, each once, with the first of its names."""
        return first_of_each((name, module) for name, module, _ in self._walk(prefix))

    def modules(self) -> "Iterator[Module]":
        """This module and all below, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> "Iterator[tuple[str, Module]]":
        """The modules directly below, each once."""
        return first_of_each((name, m) for name, m in self._members() if isinstance(m, Module))

    def children(self) -> "Iterator[Module]":
        """The modules directly below, each once."""
        return (module for _, module in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters here and below, each once, with the first of its names."""
        return first_of_each(
            (name, tensor)
            for name, tensor, _ in self._tensors(prefix, recurse)
            if isinstance(tensor, Parameter)
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters here and below, each once, however many modules share it."""
        return (parameter for _, parameter in self.named_parameters("", recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """The buffers here and below, each once, with the first of its names."""
        return first_of_each(
            (name, tensor)
            for name, tensor, _ in self._tensors(prefix, recurse)
            if not isinstance(tensor, Parameter)
        )

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers here and below, each once."""
        return (buffer for _, buffer in self.named_buffers("", recurse))

    # ----- changing all of it -----

    def train(self, mode: bool = True) -> Self:
        """Make this module and all below behave as in training (dropout drops, ...)."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Make this module and all below behave as in use: ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, flag: bool = True) -> Self:
        """Train all parameters, or with False freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad = flag
        return self

    def freeze(self) -> Self:
        """Train no parameter here and below: backward leaves out all that only they need."""
        return self.requires_grad_(False)

    def unfreeze(self) -> Self:
        """Train all parameters again."""
        return self.requires_grad_(True)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def apply(self, function: "Callable[[Module], Any]") -> Self:
        """Call ``function`` on this module and all below, each once."""
        function_of("apply", "function", function)
        for module in tuple(self.modules()):
            function(module)
        return self

    def to(self, device: str) -> Self:
        """Move parameters and buffers to "cpu", "gpu" or "gpu:N", in place.

        The parameters stay the same objects. What was recorded before has lost its inputs: run
        the forward pass again.
        """
        name = normalize_device(device)
        return self._convert(lambda array: to_device(array, name))

    def astype(self, dtype: Any) -> Self:
        """Convert floating-point parameters and buffers to ``dtype``, in place, as ``to`` does."""
        target = dtype_of("astype", dtype)
        if target not in FLOATS:
            raise DTypeError(
                f"astype: {type(self).__name__} was to be converted to {target}, expected float16, "
                "float32 or float64: weights are numbers that have derivatives."
            )
        return self._convert(
            lambda a: own(a, target) if a.dtype.kind == "f" and a.dtype != target else a
        )

    def _convert(self, change: Callable[[Array], Array]) -> Self:
        # All new arrays are there before the first is put in its place: where one cannot be
        # made, for want of memory or of a GPU, nothing has changed.
        found = {id(tensor): tensor for _, tensor, _ in self._tensors()}
        changed = []
        for tensor in found.values():
            grad = None if tensor.grad is None else Tensor(change(tensor.grad._data))
            changed.append((tensor, change(tensor._data), grad))
        for tensor, array, grad in changed:
            if array is not tensor._data:
                replace(tensor, array)
                tensor.grad = grad
        return self

    # ----- the state dict -----

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """The numbers of all parameters and persistent buffers by name: a snapshot.

        NumPy copies, contiguous, on the CPU: training on does not change them. What stands
        under several names is there under each, as one and the same array.
        """
        return snapshot(self._state())

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Write the numbers of a state dict into parameters and buffers.

        Unless every name, shape and type fits, nothing changes and one StateDictError names
        all that does not. A parameter that stands under several names needs only one of them.

        Args:
            strict: With False, names that are missing or unexpected are returned, not an error.
        """
        return load(type(self).__name__, self._state(), state_dict, strict)

    def _state(self) -> dict[str, Tensor]:
        entries: dict[str, Tensor] = {}
        for name, tensor, persistent in self._tensors():
            if persistent and entries.setdefault(name, tensor) is not tensor:
                raise ModuleError(
                    f"{type(self).__name__}: two tensors have the name {name!r}; a dict may hold "
                    "them under a number and under the same number as a string."
                )
        return entries

    def passing_state(self) -> Any:
        """What one call leaves for the next beside the state dict, None if there is nothing.

        A run that is to go on exactly needs it too: ``training`` keeps it in checkpoints.
        """
        return None

    def load_passing_state(self, state: Any) -> None:
        """Take up what ``passing_state`` gave; None is the beginning."""

    # ----- looking at it -----

    def summary(self, *inputs: Any, **options: Any) -> "Summary":
        """What it is made of: modules, the shapes that they give, parameters, multiply-adds.

            print(model.summary(tg.zeros(20, 3, 8)))

        The inputs, as in a call, are run through a copy in ``eval`` mode; without them only
        parameters are counted.
        """
        from tinygrad_rnn.nn.summary import summarize

        return summarize(self, inputs, options)

    def made_with(self) -> dict[str, Any]:
        """The arguments, by the names of the constructor, that make another like it.

        A class whose modules come to know sizes, or are given others, later than in the
        constructor says here what would make them as they are now.
        """
        return arguments_by_name(self)

    # ----- Python's protocols -----

    def __getstate__(self) -> dict[str, Any]:
        """What deepcopy and pickle take along: everything but the hooks."""
        return {key: value for key, value in self.__dict__.items() if key != "_forward_hooks"}

    def extra_repr(self) -> str:
        """What stands in the brackets of the repr: sizes and options."""
        own_parameters = self.named_parameters(recurse=False)
        return ", ".join(f"{name} {parameter.shape}" for name, parameter in own_parameters)

    @recursive_repr("...")
    def __repr__(self) -> str:
        children = [(name, m) for name, m in self._members() if isinstance(m, Module)]
        lines = [f"({name}): {child!r}" for name, child in children]
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        body = "\n".join([extra, *lines] if extra else lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"


MEMBERS: tuple[type[Any], ...] = (Parameter, Module)
