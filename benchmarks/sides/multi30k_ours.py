"""The model of Multi30k on this library."""

import json

import numpy as np
from sides.multi30k_data import CLIP, LONGEST, RATE, serve

import tinygrad_rnn as tg
from tinygrad_rnn import files, models, optim


class Side:
    def __init__(self, sizes, weights, dropout, double=False):
        dtype = tg.float64 if double else tg.float32
        self.model = models.Seq2Seq(
            *sizes, cell="GRU", attention="additive", input_feeding="context", read_out="deep",
            bridge="linear", dropout=dropout,
        ).astype(dtype)  # fmt: skip
        self.model.load_state_dict({name: w.astype(dtype) for name, w in weights.items()})
        self.parameters = list(self.model.parameters())
        self.adam = optim.Adam(self.parameters, lr=RATE)
        self.reseed = tg.seed

    def step(self, source, target, told):
        self.adam.zero_grad()
        loss, _ = self.model.loss(source, target, teacher_forcing=told)
        loss.backward()
        optim.clip_grad_norm(self.parameters, CLIP)
        self.adam.step()
        return loss.item()

    def nats(self, source, target):
        self.model.eval()
        with tg.no_grad():
            losses, _ = self.model.loss(source, target, teacher_forcing=0, reduction="none")
        self.model.train()
        return losses.sum().item(), sum(map(len, target)) + len(target)

    def translated(self, sources):
        return self.model.translated(sources, max_length=LONGEST, batch_size=128)

    def save(self, path):
        state = {"model": dict(self.model.state_dict()), "adam": self.adam.state_dict()}
        arrays, rest = files.flatten(state)
        files.write(path, arrays, {"rest": json.dumps(rest)})

    def load(self, path):
        arrays, metadata = files.read(path)
        state = files.restored(arrays, json.loads(metadata["rest"]))
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])

    def gradients(self, source, target, told):
        self.adam.zero_grad()
        loss, _ = self.model.loss(source, target, teacher_forcing=told)
        loss.backward()
        named = self.model.named_parameters()
        return {"loss": np.array(loss.item())} | {name: p.grad.numpy() for name, p in named}


if __name__ == "__main__":
    serve(Side)
