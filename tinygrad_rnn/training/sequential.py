"""Sequential: layers one after the other, with Keras' words to train them."""

from collections.abc import Iterable
from typing import Self

from tinygrad_rnn import nn
from tinygrad_rnn.nn import Module
from tinygrad_rnn.training.compilable import Compilable
from tinygrad_rnn.training.rows import rows_first

__all__ = ["Sequential"]


class Sequential(Compilable, nn.Sequential):
    """``nn.Sequential`` that can also compile, fit, evaluate and predict.

        model = training.Sequential()
        model.add(nn.Dense(units=64, input_dim=100))
        model.add(nn.Activation("relu"))
        model.add(nn.Dense(units=10))
        model.add(nn.Activation("softmax"))
        model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
        model.fit(x_train, y_train, epochs=5, batch_size=32)
        loss, accuracy = model.evaluate(x_test, y_test)
        probabilities = model.predict(x_test)

    Examples come first, as in Keras: layers over time that are added read (B, T, ...), whatever
    their ``batch_first`` was.
    """

    def __init__(self, *modules: Module | Iterable[Module], **named: Module) -> None:
        one = modules[0] if len(modules) == 1 else None
        listed = one if isinstance(one, list | tuple) else modules
        super().__init__(*listed, **named)

    def _put(self, name: str, module: Module) -> Self:
        return super()._put(name, rows_first(module))
