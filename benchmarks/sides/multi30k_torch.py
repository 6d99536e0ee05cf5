"""The same by PyTorch, in the way that is known to be quick.

Keys are multiplied once. Scores for the loss are made of all steps at once and only where there
is a word; within the loop only those of steps whose likeliest word is read. The tutorial makes all
scores step by step, which adds up a gradient as large as their weight at each, and takes longer.
"""

import torch
from sides.multi30k_data import CLIP, GRUS, LONGEST, RATE, SCORE, serve
from torch import nn
from torch.nn.functional import cross_entropy, dropout
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

LINEAR = {
    "bridge": ("bridge.products.0.0.weight", "bridge.products.0.0.bias"),
    "w_q": (f"{SCORE}.w_q", None),
    "w_k": (f"{SCORE}.w_k", f"{SCORE}.b"),
    "out": ("out.weight", "out.bias"),
}
SUFFIXES = {"encoder": "", "encoder reverse": "_reverse", "decoder": ""}


class Translator(nn.Module):
    """Encoder, bridge, attention, decoder, scores."""

    def __init__(self, sizes, share):
        super().__init__()
        sources, targets, E, H = sizes
        self.end, self.source_end, self.share = targets, sources, share
        self.source, self.target = nn.Embedding(sources + 1, E), nn.Embedding(targets + 1, E)
        self.encoder = nn.GRU(E, H, bidirectional=True)
        self.bridge, self.w_k = nn.Linear(2 * H, H), nn.Linear(2 * H, H)
        self.w_q, self.v = nn.Linear(H, H, bias=False), nn.Parameter(torch.zeros(H))
        self.decoder = nn.GRU(E + 2 * H, H)
        self.out = nn.Linear(3 * H + E, targets + 1)

    def by_our_names(self, found):
        """What is found for each parameter, its number or its gradient, as we have them."""
        named = {
            "encoder.embedding.weight": found(self.source.weight),
            "target_embedding.weight": found(self.target.weight),
            f"{SCORE}.v": found(self.v),
        }
        for name, (weight, bias) in LINEAR.items():
            named[weight] = found(getattr(self, name).weight).T
            if bias:
                named[bias] = found(getattr(self, name).bias)
        for gru, (name, suffix) in zip(GRUS, SUFFIXES.items(), strict=True):
            layer = getattr(self, name.split()[0])
            own = [
                f"{kind}_{way}_l0{suffix}" for kind in ("weight", "bias") for way in ("ih", "hh")
            ]
            w_x, w_h, b, b_h = (found(getattr(layer, one)) for one in own)
            hidden = len(b_h) // 3
            named |= {f"{gru}.w_x": w_x.T, f"{gru}.w_h": w_h.T, f"{gru}.b": b}
            named[f"{gru}.b_h"] = b_h[2 * hidden :]  # its first two thirds are added to those of b
        return named

    @torch.no_grad()
    def load(self, weights):
        """Take weights by our names."""
        for parameter in self.parameters():
            parameter.zero_()
        for name, place in self.by_our_names(lambda parameter: parameter).items():
            place.copy_(torch.from_numpy(weights[name]))

    def words(self, embedding, ids):
        return dropout(embedding(ids), self.share, self.training)

    def encode(self, source):
        """Lists of words -> memory (B, S, 2H), its keys, where there is none, the first state."""
        lengths = torch.tensor([len(tokens) + 1 for tokens in source])
        ids = pad_sequence([torch.tensor([*tokens, self.source_end]) for tokens in source])
        packed = pack_padded_sequence(self.words(self.source, ids), lengths, enforce_sorted=False)
        outputs, final = self.encoder(packed)
        memory = pad_packed_sequence(outputs)[0].transpose(0, 1).contiguous()
        nothing = torch.arange(len(ids)) >= lengths[:, None]
        state = torch.tanh(self.bridge(torch.cat([final[0], final[1]], dim=1)))
        return memory, self.w_k(memory), nothing, state

    def step(self, tokens, state, memory, keys, nothing):
        """What scores of the next word are made of, (B, 3H + E), and the state."""
        word = self.words(self.target, tokens)
        fits = torch.tanh(self.w_q(state)[:, None] + keys) @ self.v
        looked = torch.softmax(fits.masked_fill(nothing, -torch.inf), dim=1)
        context = torch.bmm(looked[:, None], memory)[:, 0]
        _, state = self.decoder(torch.cat([word, context], dim=1)[None], state[None])
        state = state[0]
        return torch.cat([state, context, word], dim=1), state

    def likeliest(self, features):
        with torch.no_grad():
            return self.out(features).argmax(dim=1)

    def loss(self, source, target, told, reduction="mean"):
        memory, keys, nothing, state = self.encode(source)
        said = pad_sequence(
            [torch.tensor([*tokens, self.end]) for tokens in target], padding_value=-100
        )
        read = pad_sequence(
            [torch.tensor([self.end, *tokens]) for tokens in target], padding_value=self.end
        )
        tokens, features = read[0], []
        for t in range(len(read)):
            found, state = self.step(tokens, state, memory, keys, nothing)
            features.append(found)
            if t + 1 < len(read):
                tokens = read[t + 1] if told[t + 1] else self.likeliest(found)
        kept = said != -100
        scores = self.out(torch.stack(features)[kept])
        return cross_entropy(scores, said[kept], reduction=reduction)


class Side:
    make = Translator

    def __init__(self, sizes, weights, dropout, double=False):
        self.model = self.make(sizes, dropout).to(torch.float64 if double else torch.float32)
        self.model.load(weights)
        self.adam = self.adam_of(self.model.parameters())
        self.reseed = torch.manual_seed

    def adam_of(self, parameters):
        return torch.optim.Adam(parameters, lr=RATE, fused=True)

    def step(self, source, target, told):
        self.adam.zero_grad()
        loss = self.model.loss(source, target, told)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.adam.step()
        return loss.item()

    @torch.inference_mode()
    def nats(self, source, target):
        self.model.eval()
        told = [False] * (max(map(len, target)) + 1)
        total = self.model.loss(source, target, told, "sum").item()
        self.model.train()
        return total, sum(map(len, target)) + len(target)

    @torch.inference_mode()
    def translated(self, sources):
        self.model.eval()
        said = []
        for first in range(0, len(sources), 128):
            *memory, state = self.model.encode(sources[first : first + 128])
            tokens = torch.full((len(state),), self.model.end)
            steps = []
            for _ in range(LONGEST):
                features, state = self.model.step(tokens, state, *memory)
                tokens = self.model.likeliest(features)
                steps.append(tokens.tolist())
            rows = zip(*steps, [self.model.end] * len(state), strict=True)
            said += [row[: row.index(self.model.end)] for row in rows]
        self.model.train()
        return said

    def save(self, path):
        torch.save([self.model.state_dict(), self.adam.state_dict()], path)

    def load(self, path):
        model, adam = torch.load(path)
        self.model.load_state_dict(model)
        self.adam.load_state_dict(adam)

    def gradients(self, source, target, told):
        self.adam.zero_grad()
        loss = self.model.loss(source, target, told)
        loss.backward()
        found = self.model.by_our_names(lambda parameter: parameter.grad)
        return {"loss": loss.detach().numpy()} | {name: g.numpy() for name, g in found.items()}


if __name__ == "__main__":
    serve(Side)
