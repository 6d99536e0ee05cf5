"""Symbol: what stands for a value that is not there yet."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinygrad_rnn.nn.module import Module

__all__ = ["Symbol"]


class Symbol:
    """What stands for a value; a module called with one asks it for the answer."""

    def called(self, module: "Module", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a call of a module with these arguments, itself among them, gives."""
        raise NotImplementedError
