"""What a recurrence leaves behind when it is watched: the rows of every step, and gradients.

A record holds on to what backward needs anyway and copies nothing while a layer runs. What is
asked of it is found afterwards, from what each step read, the states before and after it, and
the gradients that the last walk back has brought to the output and to those states.
"""

import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.engine import Walk, grad, wrap
from tinygrad_rnn.engine.derivative import seeds
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.kernels.recurrence.kept import Kept
from tinygrad_rnn.kernels.recurrence.reference import RESET, STEP
from tinygrad_rnn.modes import is_grad_enabled, recorded
from tinygrad_rnn.primitive import tap
from tinygrad_rnn.tensor import Tensor, tick

__all__ = ["Record", "gradient_of"]


class Record:
    """The steps of one recurrence; arrays are (T, B, width), in the order of x.

    A subclass knows the equations, and the names of their rows.
    """

    names: Collection[str] = ()
    state_names: Sequence[str]

    def __init__(self) -> None:
        self._kept: Kept | Callable[[], Kept] | None = None
        self._steps: dict[int, tuple[list[Array], list[Array]]] = {}  # before and after, on Tensors
        # Of the last walk back: "y" -> its gradient; the number of a state -> those after all
        # steps, as far as they come through later steps; (number, t) -> the one after step t.
        self._gradients: dict[Any, Array] | None = None
        self._walk: weakref.ref[Walk] | None = None
        self._sources: Mapping[str, Tensor] | None = None
        self._prepared: Callable[[dict[str, Tensor]], Any] = dict
        # What it is given, and wants a gradient: the Node, or a leaf.
        self._given: list[weakref.ref[Any]] = []

    def prepare(
        self, sources: Mapping[str, Tensor], prepared: Callable[[dict[str, Tensor]], Any]
    ) -> None:
        """The weights that the recurrence is going to be given are made of others."""
        self._sources = {name: weight.detach() for name, weight in sources.items()}
        self._note(sources.values())
        self._prepared = prepared

    def begin(
        self,
        x: Tensor | None,
        states: Sequence[Tensor],
        weights: Mapping[str, Tensor],
        *,
        restart: Sequence[Tensor] | None,
        besides: Iterable[Tensor] = (),
        steps: int,
        mask: Array | None,
        reverse: bool,
    ) -> None:
        """Note what a recurrence is given; ``besides`` has whatever else it may train."""
        given = [
            *states,
            *(restart or ()),
            *weights.values(),
            *besides,
            *([] if x is None else [x]),
        ]
        self.differentiable = is_grad_enabled() and any(t._requires_grad for t in given)
        self._note(given)
        self.when = tick()
        self.x = None if x is None else x.detach()
        self.weights = {name: weight.detach() for name, weight in weights.items()}
        self.T, self.B = steps, states[0].shape[0]
        self.widths = [s.shape[1] for s in states]
        self.dtype, self.xp = states[0].dtype, array_module(states[0]._data)
        self.states = [s.detach() for s in states]
        self.restart = self.states if restart is None else [s.detach() for s in restart]
        self.mask, self.reverse = mask, reverse
        self.held = None if mask is None else self.xp.asarray((mask & STEP == 0)[..., None])

    def _note(self, given: Iterable[Tensor]) -> None:
        self._given += [weakref.ref(t._node or t) for t in given if t._requires_grad]

    # ----- while it runs, and while gradients go back -----

    def run(self, kept: Callable[[], Kept]) -> None:
        """A kernel has run: ``kept()`` is what it keeps."""
        self._kept = kept

    def watch(self, t: int, before: Sequence[Tensor], after: Sequence[Tensor]) -> list[Tensor]:
        """See a step on Tensors; the states to go on with."""
        if self._kept is None:
            self._steps[t] = [s._data for s in before], [s._data for s in after]
        return [tap(self._differentiable(s), self._seer((k, t))) for k, s in enumerate(after)]

    def _differentiable(self, state: Tensor) -> Tensor:
        """A state whose gradient is asked for, though nothing that it is made of wants one."""
        if state._requires_grad or not self.differentiable:
            return state
        leaf = state.detach().requires_grad_()
        self._note([leaf])
        return leaf

    def end(self, y: Tensor) -> Tensor:
        """All steps have run on Tensors; the output to go on with."""
        if self._kept is None:
            steps = [self._steps.pop(t) for t in range(self.T)]
            before, after = (
                [self.xp.stack([pair[side][k] for pair in steps]) for k in range(len(self.widths))]
                for side in (0, 1)
            )
            self._kept = Kept(before, after, {})
        return tap(y, self._seer("y"))

    def went_back(self, dy: Array | None, later: Sequence[Array]) -> None:
        """A kernel has gone back."""
        self._gradients = dict(enumerate(later)) | ({} if dy is None else {"y": dy})
        self._walk = None

    def go_back(self, loss: Tensor) -> None:
        """Walk back from a loss to this recurrence, as ``grad`` does, and keep the graph."""
        given = [source for source in (known() for known in self._given) if source is not None]
        if not given:
            raise GradientError(
                "trace: nothing that the recurrence was given wants a gradient, expected a weight "
                "or an input that does: a walk back has to end somewhere behind it."
            )
        self.went_back(None, [self.xp.zeros((self.T, self.B, n), self.dtype) for n in self.widths])
        # To all of them: a state need not depend on each.
        walk = Walk(graph=False, retain=True, targets=given)
        walk.go([loss], seeds("go_back()", [loss], None))

    def _seer(self, place: Any) -> Callable[[Array, Walk], None]:
        """What notes a gradient; it does not keep the record alive."""
        me = weakref.ref(self)

        def see(g: Array, walk: Walk) -> None:
            record = me()
            if record is None:
                return
            if record._gradients is None or record._walk is None or record._walk() is not walk:
                record._gradients, record._walk = {}, weakref.ref(walk)
            record._gradients[place] = g

        return see

    # ----- what is known -----

    @property
    def kept(self) -> Kept:
        """The states before and after each step, and whatever else was kept."""
        if self._kept is None:  # no steps
            none = [self.xp.zeros((0, self.B, n), self.dtype) for n in self.widths]
            return Kept(none, none, {})
        if not isinstance(self._kept, Kept):
            self._kept = self._kept()
        return self._kept

    def gradients(self) -> tuple[Array | None, list[Array]]:
        """Of the output, and of each state after each step, through later steps alone."""
        found = self._gradients
        if not self.differentiable:
            raise GradientError(
                "trace: there are no gradients, expected a call that was recorded: nothing that "
                "it was given required one, or it stood under no_grad() or inference_mode()."
            )
        if not self.T:
            found = {}
        if found is None:
            raise GradientError(
                "trace: no gradient has come back yet, expected a backward() or grad() of a loss "
                "that depends on the layer's output or final state, while the trace was there."
            )
        later = []
        for k, width in enumerate(self.widths):
            if k not in found:
                zero = self.xp.zeros((self.B, width), self.dtype)
                rows = [found.get((k, t), zero) for t in range(self.T)]
                found[k] = self.xp.stack(rows) if rows else zero[None][:0]
            later.append(found[k])
        return found.get("y"), later

    @property
    def kept_after(self) -> Sequence[Array]:
        """The states after each step, where they have been kept."""
        after = self.kept.after
        assert after is not None
        return after

    # ----- what is found again -----

    def rows(self, name: str) -> Array:
        """The values of a row; where it is held, of a state what it carries, of others 0."""
        raise NotImplementedError

    def before_activation(self, name: str) -> Array:
        """The row that the activation was applied to which gave the named one."""
        raise NotImplementedError

    def gradient(self, name: str) -> Array:
        """The gradient of a row; 0 where it is held."""
        raise NotImplementedError

    def retention(self, name: str) -> Array | None:
        """Of a state, its derivative by itself a step before, past all products with weights.

        None where that is not known, as there are no equations.
        """
        return None

    def again(self, t: int, weights: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Step t alone: its output (1, B, width) and the states after it."""
        raise NotImplementedError

    def part(self, weight: str, t: int) -> Array:
        """What step t adds to the gradient of a weight."""
        dy, later = self.gradients()
        seeds = [None if dy is None else dy[t : t + 1], *(g[t] for g in later)]
        zeros: Array = self.xp.zeros(self.weights[weight].shape, self.dtype)
        if not any(g is not None and g.any() for g in seeds):
            return zeros
        self.check_given()
        with recorded():
            sources = self._sources or self.weights
            weights = {name: w.detach() for name, w in sources.items()}
            wanted = weights[weight].requires_grad_()
            y, finals = self.again(t, self._prepared(weights))
            found = gradient_of(wanted, [y, *finals], seeds)
        return zeros if found is None else found

    def check(self, given: Tensor | None, name: str) -> None:
        """Raise if a tensor has been written since: what is found again would be another."""
        if given is not None and given.shared_version().changed > self.when:
            raise GradientError(
                f"trace: {name} has been changed since the call, expected the numbers of then: "
                "what is asked for was not kept, it is computed again. The likely cause is "
                "assign_() or an optimiser's step: ask before it."
            )

    def check_given(self) -> None:
        """Raise if x or any of the weights has been written since."""
        self.check(self.x, "x")
        for name, weight in (self._sources or self.weights).items():
            self.check(weight, name)

    def where_it_steps(self, rows: Array) -> Array:
        """The rows, but 0 where one is held."""
        return rows if self.held is None else self.xp.where(self.held, rows.dtype.type(0), rows)

    def carried(self, number: int, new: Array) -> Array:
        """A state after each step, by the new ones, which are right where rows step."""
        state, restart = self.states[number], self.restart[number]
        self.check(state, "the state that is given")
        self.check(restart, "the initial state")
        if self.mask is None or self.held is None:
            return new
        found, current = self.xp.empty_like(new), state._data
        for t in reversed(range(self.T)) if self.reverse else range(self.T):
            again = self.xp.asarray((self.mask[t] & RESET != 0)[:, None])
            current = self.xp.where(again, restart._data, current)
            found[t] = current = self.xp.where(self.held[t], current, new[t])
        return found


def gradient_of(row: Tensor, outs: Sequence[Tensor], seeds: Sequence[Array | None]) -> Array | None:
    """The gradient of a Tensor, where those of what was made of it are ``seeds``."""
    pairs = [
        (out, wrap(g))
        for out, g in zip(outs, seeds, strict=True)
        if g is not None and out._requires_grad
    ]
    if not pairs or not row._requires_grad:
        return None
    (found,) = grad([o for o, _ in pairs], [row], [g for _, g in pairs], allow_unused=True)
    return None if found is None else found._data
