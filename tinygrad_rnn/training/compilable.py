"""The Keras-style face: compile, fit, evaluate and predict, over a Trainer."""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from itertools import tee
from typing import Any, Self

import numpy as np

from tinygrad_rnn import data, optim
from tinygrad_rnn.arguments import bounded
from tinygrad_rnn.data.epochs import place_of
from tinygrad_rnn.device import to_device
from tinygrad_rnn.errors import ArgumentError, ModuleError
from tinygrad_rnn.nn import Embedding, Module
from tinygrad_rnn.tensor import Tensor, as_array
from tinygrad_rnn.training.compiled import Compiled
from tinygrad_rnn.training.description import named_parameters
from tinygrad_rnn.training.fields import Fields, batches_of, fields_of, rows_of, taken
from tinygrad_rnn.training.history import History, Means
from tinygrad_rnn.training.named import optimizer_of
from tinygrad_rnn.training.run_state import evaluating, in_use
from tinygrad_rnn.training.saving import Path, save_model
from tinygrad_rnn.training.trainer import Trainer

__all__ = ["Compilable"]


class Compilable(Module):
    """What ``training.Sequential`` and ``training.Model`` can do beside what modules can.

    Examples stand along the first axis of every array. Numbers with fractions are read as
    the weights hold them, mostly float32.
    """

    _compiled: Compiled | None = None
    _compiled_with: dict[str, Any] | None = None
    _make_optimizer: Any
    _trainer: Trainer | None = None
    # What numbers with fractions become, and where arrays go: as the weights are.
    _reads: Any = np.dtype(np.float32)
    _home = "cpu"
    _looks_up = False  # whether whole numbers are ids of a table

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = "cross_entropy",
        metrics: Any = (),
        *,
        loss_weights: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> Self:
        """Say how the model is trained, and what is told about it.

        With several outputs, losses and metrics are one for all, a list in the order of the
        outputs, or a dict by their names.

        Args:
            optimizer: A name, an optimiser made of the model's parameters, or what makes one of
                parameters: ``optim.AdamW``, ``lambda p: optim.SGD(p, lr=0.1, momentum=0.9)``.
            loss: A name, or a function of (outputs, targets).
            metrics: Names, or functions of (outputs, targets).
            loss_weights: How much the loss of each output counts.
            clip_norm: At most how long all gradients together are.
            clip_value: At most how large each number of a gradient is.
        """
        self._compiled = Compiled(self._output_names(), loss, metrics, loss_weights)
        self._make_optimizer = optimizer_of(optimizer)
        self._trainer = None
        self._compiled_with = {
            "optimizer": optimizer, "loss": loss, "metrics": metrics, "loss_weights": loss_weights,
            "clip_norm": clip_norm, "clip_value": clip_value,
        }  # fmt: skip
        return self

    # ----- what a user calls -----

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        verbose: bool | int = True,
        validation_data: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        callbacks: Iterable[Any] = (),
        resume: bool = False,
    ) -> History:
        """Train; calls go on where the last one ended.

        Args:
            x: An array, several in a list or a dict by the names of inputs, or, without y, what
                can be looped over once an epoch, such as ``data.Batches((x, y), 32)``.
            verbose: Whether there is a progress bar.
            validation_data: (x, y), or batches of that, for an evaluation after each epoch.
            validation_split: Or the share of examples, the last ones, that are kept for it.
            shuffle: Another order in each epoch.
            callbacks: Those of ``Trainer.fit``.
            resume: Go on from the checkpoints of ``Checkpoints`` among the callbacks.
        """
        batches = x
        made = y is not None or isinstance(x, np.ndarray | Tensor | list | tuple | dict)
        if validation_split and (validation_data is not None or not made):
            other = "validation_data" if made else "batches"
            raise ArgumentError(
                f"fit: validation_split is {validation_split}, given beside {other}, expected "
                "one of validation_data and a share of arrays."
            )
        if made:
            fields, kept = _split(fields_of("fit", x=x, y=y), validation_split)
            batches = batches_of("fit", fields, batch_size, shuffle)
            validation_data = (
                validation_data if kept is None else batches_of("fit", kept, batch_size)
            )
        if isinstance(validation_data, tuple):
            validation_data = _pair(validation_data, batch_size)
        trainer, batches = self._trainer_and("fit", batches)
        return trainer.fit(
            batches, epochs, validation=validation_data, callbacks=callbacks,
            progress=bool(verbose), resume=resume,
        )  # fmt: skip

    def train_on_batch(self, x: Any, y: Any) -> Any:
        """One step; the loss and metrics of the batch before it."""
        batch = fields_of("train_on_batch", x=x, y=y)
        trainer = self._trainer_for("train_on_batch", [batch])
        self.train()
        before = trainer.batch, trainer.means
        trainer.means = Means()
        trainer.train_step([batch])
        trainer.look()
        trainer.batch, trainer.means = before  # a step beside all epochs
        return _scores(trainer.values)

    def evaluate(self, x: Any, y: Any = None, batch_size: int = 32) -> Any:
        """The loss and metrics over examples: a tuple with names, ``loss, accuracy``."""
        batches = x
        if y is not None:
            batches = batches_of("evaluate", fields_of("evaluate", x=x, y=y), batch_size)
        trainer, batches = self._trainer_and("evaluate", batches)
        return _scores(trainer.evaluate(batches))

    def predict(self, x: Any, batch_size: int = 32) -> Any:
        """What the model gives for examples, as NumPy arrays, batch by batch.

        Of several outputs it is a tuple or dict of arrays, as the model itself gives them.
        """
        fields = fields_of("predict", x=x)
        self._build(lambda: taken("x", fields))
        found: list[dict[str, Any]] = []
        with in_use(self):
            for batch in batches_of("predict", fields, batch_size) if _count(fields) else [fields]:
                outputs = self._named_outputs(self._run(taken("x", batch)))
                found.append({name: output.numpy() for name, output in outputs.items()})
        return self._formed({name: np.concatenate([f[name] for f in found]) for name in found[0]})

    def save(self, path: Path) -> None:
        """Write weights and description into one file: ``save_model``."""
        save_model(path, self)

    # ----- what it is made of -----

    def _trainer_and(self, where: str, batches: Any) -> tuple[Trainer, Any]:
        """The trainer, and the batches, of which a look at the first one takes none away."""
        if not isinstance(batches, Iterator) or hasattr(batches, "state_dict"):
            return self._trainer_for(where, batches), batches
        batches, looked_at = tee(batches)
        return self._trainer_for(where, looked_at), batches

    def _trainer_for(self, where: str, batches: Iterable[Any]) -> Trainer:
        """The trainer of all calls since ``compile``."""
        if self._compiled is None or self._compiled_with is None:
            raise ModuleError(
                f"{where}: the model is not compiled, expected compile(optimizer=..., loss=...) "
                "before, which says what it is trained by."
            )
        self._build(lambda: _first_x(batches))
        if self._trainer is None:
            optimizer = self._make_optimizer
            if not isinstance(optimizer, optim.Optimizer):
                optimizer = optimizer(list(self.named_parameters()))
            limits = {name: self._compiled_with[name] for name in ("clip_norm", "clip_value")}
            self._trainer = Trainer(self, optimizer, self._compiled, weight=rows_of, **limits)
        self._check_parameters(where, self._trainer.optimizer)
        self._compiled.look_at(self)
        return self._trainer

    def _check_parameters(self, where: str, optimizer: optim.Optimizer) -> None:
        mine = {id(parameter) for parameter in self.parameters()}
        theirs = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
        if theirs - mine:
            raise ModuleError(
                f"{where}: the optimiser trains other parameters than those of the model; make it "
                "of model.parameters(), and compile again where layers have changed."
            )
        if mine - theirs and optimizer is not self._make_optimizer:
            raise ModuleError(
                f"{where}: layers have come since compile(); compile the model again."
            )

    def _build(self, example: Callable[[], Any]) -> None:
        """Let layers whose input size was not given see an example."""
        weights = [t for t in named_parameters(self).values() if t.dtype.kind == "f"]
        if weights:
            self._reads, self._home = weights[0].dtype, weights[0].device
        self._looks_up = any(isinstance(module, Embedding) for module in self.modules())
        try:
            list(self.parameters())
        except ModuleError:
            with evaluating(self):
                self._run(_map(lambda array: array[:1], example()))

    def _run(self, x: Any) -> Any:
        """Call the model with an array, several in a list, or a dict."""

        def read(array: Any) -> Any:
            array = as_array(array, type(self).__name__)
            if array.dtype.kind == "f":
                array = array.astype(self._reads, copy=False)
            elif self._looks_up:
                return array  # ids, which a table looks at before it sends them
            return to_device(array, self._home)

        x = _map(read, x)
        return self(*x) if isinstance(x, list) else self(x)

    def _output_names(self) -> list[str]:
        """The names of outputs; one output needs none."""
        return [""]

    def _named_outputs(self, result: Any) -> dict[str, Tensor]:
        """What a call has given, by name; of several results of the last layer the first."""
        return {"": result[0] if isinstance(result, tuple) else result}

    def _formed(self, named: dict[str, Any]) -> Any:
        """Outputs by name in the form in which the model gives them."""
        return named[""]

    def __getstate__(self) -> dict[str, Any]:
        """What deepcopy and pickle take along: a copy is compiled anew, for its own parameters."""
        of_run = ("_compiled", "_compiled_with", "_make_optimizer", "_trainer")
        return {name: v for name, v in super().__getstate__().items() if name not in of_run}


def _map(change: Any, x: Any) -> Any:
    if isinstance(x, dict):
        return {name: change(part) for name, part in x.items()}
    return [change(part) for part in x] if isinstance(x, list | tuple) else change(x)


def _count(fields: Fields) -> int:
    return len(next(iter(fields.values())))


def _first_x(batches: Any) -> Any:
    """The x of some batch, without going on in batches that keep their place."""
    place = place_of(batches)
    batch = next(iter(batches), None)
    if place is not None:
        batches.load_state_dict(place)
    if batch is None:
        raise ArgumentError("fit: there is no batch, and so no input size for layers without one.")
    return taken("x", batch)


def _pair(given: tuple[Any, ...], batch_size: int) -> data.Batches:
    if len(given) != 2:
        raise ArgumentError(
            f"fit: validation_data is a tuple of {len(given)}, expected (x, y), or batches."
        )
    return batches_of("fit", fields_of("fit", x=given[0], y=given[1]), batch_size)


def _split(fields: Fields, share: float) -> tuple[Fields, Fields | None]:
    """The last examples apart from the others."""
    share = bounded("fit", "validation_split", share, least=0, below=1)
    if not share:
        return fields, None
    kept = round(share * _count(fields))
    if not kept:
        raise ArgumentError(
            f"fit: validation_split is {share}, which is no example of {_count(fields)}, expected "
            "a larger share."
        )
    return {n: a[:-kept] for n, a in fields.items()}, {n: a[-kept:] for n, a in fields.items()}


def _scores(values: dict[str, float]) -> Any:
    """A tuple with the names of the values, the loss first."""
    kind = namedtuple("Scores", list(values), rename=True)  # type: ignore[misc] # known by now
    return kind(*values.values())
