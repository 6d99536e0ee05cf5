"""The same by PyTorch."""

import numpy as np
import torch
from char_rnn_data import CLIP, DECAY, LAYERS, WIDTH, chunks, rate, serve

torch.manual_seed(0)
letters, training, validation = chunks()
training, validation = (
    [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in part] for part in (training, validation)
)
one_hot = torch.from_numpy(np.eye(letters, dtype=np.float32))
lstm, out = torch.nn.LSTM(letters, WIDTH, LAYERS), torch.nn.Linear(WIDTH, letters)
parameters = [*lstm.parameters(), *out.parameters()]
with torch.no_grad():
    for name, parameter in lstm.named_parameters():
        if name.startswith("weight"):
            parameter.uniform_(-0.08, 0.08)
        else:
            parameter.zero_()
        if name.startswith("bias_ih"):
            parameter[WIDTH : 2 * WIDTH] = 1
    out.weight.uniform_(-0.08, 0.08)
    out.bias.zero_()
optimizer = torch.optim.RMSprop(parameters, lr=rate(0), alpha=DECAY)


def loss_of(x, y, state):
    h, state = lstm(one_hot[x], state)
    return torch.nn.functional.cross_entropy(out(h).flatten(0, 1), y.flatten()), state


def epoch(number):
    optimizer.param_groups[0]["lr"] = rate(number)
    total, state = 0.0, None
    for x, y in training:
        optimizer.zero_grad()
        loss, state = loss_of(x, y, state)
        loss.backward()
        torch.nn.utils.clip_grad_value_(parameters, CLIP)
        optimizer.step()
        state = tuple(part.detach() for part in state)
        total += loss.item()
    return total / len(training), lambda: validated(state)


def validated(state):
    total = 0.0
    with torch.no_grad():
        for x, y in validation:
            loss, state = loss_of(x, y, state)
            total += loss.item()
    return total / len(validation)


serve(epoch)
