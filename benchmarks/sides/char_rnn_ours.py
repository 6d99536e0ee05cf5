"""char-rnn's experiment on this library, an epoch for each number that comes in."""

import numpy as np
from char_rnn_data import CLIP, DECAY, LAYERS, WIDTH, chunks, rate, serve

import tinygrad_rnn as tg
from tinygrad_rnn import losses, nn, optim

tg.seed(0)
letters, training, validation = chunks()
one_hot = np.eye(letters, dtype=np.float32)
lstm, out = nn.LSTM(letters, WIDTH, LAYERS), nn.Linear(WIDTH, letters)
parameters = [*lstm.parameters(), *out.parameters()]
nn.init.uniform_(out.weight, -0.08, 0.08)
for cell in lstm.cells():
    for name, parameter in cell.named_parameters():
        if name != "b":  # where the forget gate's part is 1 and the rest 0 already
            nn.init.uniform_(parameter, -0.08, 0.08)
optimizer = optim.RMSprop(parameters, lr=rate(0), alpha=DECAY)


def loss_of(x, y, state):
    h, state = lstm(tg.tensor(one_hot[x]), state)
    return losses.cross_entropy(out(h), y), state


def epoch(number):
    optimizer.param_groups[0]["lr"] = rate(number)
    total, state = 0.0, None
    for x, y in training:
        optimizer.zero_grad()
        loss, state = loss_of(x, y, state)
        loss.backward()
        optim.clip_grad_value(parameters, CLIP)
        optimizer.step()
        state = tuple(part.detach() for part in state)
        total += loss.item()
    return total / len(training), lambda: validated(state)


def validated(state):
    total = 0.0
    with tg.no_grad():
        for x, y in validation:
            loss, state = loss_of(x, y, state)
            total += loss.item()
    return total / len(validation)


serve(epoch)
