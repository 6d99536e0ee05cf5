"""Where a run stands, as a state, and a trainer where a state says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinygrad_rnn import random
from tinygrad_rnn.errors import StateDictError
from tinygrad_rnn.training.run_state import at_home, carried_by, load_carried

if TYPE_CHECKING:
    from tinygrad_rnn.training.trainer import Trainer

__all__ = ["check_kinds", "load_state", "part_of", "state_of"]

_NUMBERS = ("step", "epoch", "batch", "read", "seconds", "began")


def state_of(trainer: "Trainer") -> dict[str, Any]:
    """All that a run depends on, but for the place in the data.

    Each of several processes has a part of its own: that of the first stands with the rest.
    """
    first, *others = trainer.together.all_parts({
        "carried_by_model": carried_by(trainer.model),
        "random": random.get_state(),
        "carried": trainer.carried,
    })  # fmt: skip
    return {
        **first,
        "others": others,
        "kinds": _kinds(trainer),
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": trainer.schedule and trainer.schedule.state_dict(),
        **{name: getattr(trainer, name) for name in _NUMBERS},
        "seconds": trainer._fit.seconds() if trainer._fit else trainer.seconds,
        "sums": {name: list(pair) for name, pair in trainer.means.sums.items()},
        "history": [dict(logs) for logs in trainer.history.epochs],
    }


def part_of(trainer: "Trainer", state: Mapping[str, Any]) -> Any:
    """Of a state, what belongs to this process alone."""
    return state["others"][trainer.rank - 1] if trainer.rank else state


def load_state(trainer: "Trainer", state: Mapping[str, Any]) -> None:
    """Go there."""
    own = part_of(trainer, state)
    trainer.model.load_state_dict(state["model"])
    load_carried(trainer.model, own["carried_by_model"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    if trainer.schedule is not None:
        trainer.schedule.load_state_dict(state["schedule"])
    random.set_state(own["random"])
    trainer.carried = at_home(own["carried"], trainer.model)
    for name in _NUMBERS:
        setattr(trainer, name, state[name])
    trainer.means.sums = {name: list(pair) for name, pair in state["sums"].items()}
    trainer.history.epochs = [dict(logs) for logs in state["history"]]


def check_kinds(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Whether two states are of runs of the same make."""
    missing = set(mine) - set(theirs) - {"others"}  # which those of earlier versions lack
    if missing:
        raise StateDictError(
            "Trainer.load_state_dict: expected what the state_dict() of a trainer returned; "
            f"there is no {', '.join(sorted(missing))}."
        )
    given = {"processes": "1"} | theirs["kinds"]
    others = [
        f"{name} is {kind} here, and was {given[name]}"
        for name, kind in mine["kinds"].items()
        if kind != given[name]
    ]
    if others:
        raise StateDictError(
            f"Trainer.load_state_dict: this is another run: {'; '.join(others)}. Nothing was "
            "changed."
        )


def _kinds(trainer: "Trainer") -> dict[str, str]:
    return {
        "optimizer": type(trainer.optimizer).__name__,
        "schedule": type(trainer.schedule).__name__,
        "processes": str(trainer.together.size),
    }
