"""The same by PyTorch, as the tutorial writes it.

At each step keys are multiplied anew and all rows' scores are made, those of rows that have ended,
too; the loss leaves these out in the end. Adam goes from parameter to parameter.
"""

import torch
from sides import multi30k_torch
from sides.multi30k_data import RATE, serve
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence


class Translator(multi30k_torch.Translator):
    """All of a step within the step."""

    def loss(self, source, target, told, reduction="mean"):
        memory, _, nothing, state = self.encode(source)
        said = pad_sequence(
            [torch.tensor([*tokens, self.end]) for tokens in target], padding_value=-100
        )
        read = torch.where(said == -100, self.end, said).roll(1, dims=0)
        read[0] = self.end
        tokens, scores = read[0], torch.zeros(*said.shape, self.end + 1, dtype=state.dtype)
        for t in range(len(read)):
            found, state = self.step(tokens, state, memory, self.w_k(memory), nothing)
            scores[t] = self.out(found)
            if t + 1 < len(read):
                tokens = read[t + 1] if told[t + 1] else scores[t].argmax(dim=1)
        return cross_entropy(scores.flatten(0, 1), said.flatten(), reduction=reduction)


class Side(multi30k_torch.Side):
    make = Translator

    def adam_of(self, parameters):
        return torch.optim.Adam(parameters, lr=RATE)


if __name__ == "__main__":
    serve(Side)
