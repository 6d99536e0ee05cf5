"""What every model with vocabularies can do: say what it is made with, and be saved."""

import os
from typing import Any, ClassVar

from tinygrad_rnn.nn.constructing import arguments_by_name

__all__ = ["Saved"]


class Saved:
    """A mixin for what ``models.load`` brings back.

    vocabularies  the attributes that hold them, and for each that of how many tokens it has
    """

    vocabularies: ClassVar[dict[str, str]]

    def made_with(self) -> dict[str, Any]:
        """The arguments that make another like it; how many tokens there are, for vocabularies.

        So they can be said in JSON, beside which ``save`` puts the descriptions of vocabularies.
        """
        made = arguments_by_name(self)  # type: ignore[arg-type]
        return made | {name: getattr(self, size) for name, size in self.vocabularies.items()}

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write it, with its vocabularies, into a folder, for ``models.load``.

        The one that is there is replaced when the new one is whole; a kill or a full disk costs
        nothing.
        """
        from tinygrad_rnn.models.saving import save  # which knows all models

        save(folder, self)
