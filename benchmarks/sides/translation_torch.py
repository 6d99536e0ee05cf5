"""The same model, search and training in PyTorch.

What is known to be quick: keys are multiplied once, memory and keys are not repeated for the
hypotheses of a sentence, the first step has one hypothesis, finished sentences leave the batch,
and Python looks at single hypotheses only where some end.
"""

import torch
from sides.translation_sizes import BEAM, GRUS, LIMIT, SCORE, E, H, V, pairs, sentences, weights
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence


class Translator(nn.Module):
    """Encoder, bridge, decoder, attention, read-out."""

    def __init__(self, feeding=False):
        super().__init__()
        self.feeding = feeding
        self.source, self.target = nn.Embedding(V + 1, E), nn.Embedding(V + 1, E)
        self.encoder = nn.GRU(E, H, bidirectional=True, batch_first=True)
        self.decoder = nn.GRU(E + H if feeding else E, H, batch_first=True)
        self.bridge, self.w_k = nn.Linear(2 * H, H), nn.Linear(2 * H, H)
        self.w_q, self.v = nn.Linear(H, H, bias=False), nn.Parameter(torch.zeros(H))
        self.product, self.out = nn.Linear(3 * H, H), nn.Linear(H, V + 1)

    def load(self, given):
        """Take weights by our names."""
        given = {name: torch.from_numpy(array) for name, array in given.items()}

        def linear(layer, weight, bias):
            layer.weight.data = given[weight].T.contiguous()
            if bias:
                layer.bias.data = given[bias]

        def gru(layer, name, suffix):
            nothing = torch.zeros(2 * H)
            for ours, theirs in {
                "weight_ih": given[f"{name}.w_x"].T.contiguous(),
                "weight_hh": given[f"{name}.w_h"].T.contiguous(),
                "bias_ih": given[f"{name}.b"],
                "bias_hh": torch.cat([nothing, given[f"{name}.b_h"]]),
            }.items():
                getattr(layer, f"{ours}_l0{suffix}").data.copy_(theirs)

        self.source.weight.data = given["encoder.embedding.weight"]
        self.target.weight.data = given["target_embedding.weight"]
        gru(self.encoder, GRUS[0], "")
        gru(self.encoder, GRUS[1], "_reverse")
        gru(self.decoder, GRUS[2], "")
        linear(self.bridge, "bridge.products.0.0.weight", "bridge.products.0.0.bias")
        linear(self.w_k, f"{SCORE}.w_k", f"{SCORE}.b")
        linear(self.w_q, f"{SCORE}.w_q", None)
        self.v.data = given[f"{SCORE}.v"]
        linear(self.product, "decoder.read_out.product.weight", "decoder.read_out.product.bias")
        linear(self.out, "out.weight", "out.bias")
        return self

    def encode(self, source):
        """Lists of tokens -> memory (B, S, 2H), whether there is a token (B, S), state (B, H)."""
        lengths = torch.tensor([len(tokens) + 1 for tokens in source])
        ids = pad_sequence([torch.tensor([*tokens, V]) for tokens in source], batch_first=True)
        packed = pack_padded_sequence(
            self.source(ids), lengths, batch_first=True, enforce_sorted=False
        )
        outputs, final = self.encoder(packed)
        memory, _ = pad_packed_sequence(outputs, batch_first=True)
        there = torch.arange(ids.shape[1]) < lengths[:, None]
        return memory, there, torch.tanh(self.bridge(torch.cat([final[0], final[1]], dim=1)))

    def features(self, hidden, keys, memory, there):
        """What scores are made of, (B, T, H), of the decoder's states (B, T, H)."""
        fits = torch.tanh(self.w_q(hidden)[:, :, None] + keys[:, None]) @ self.v
        looked = torch.softmax(fits.masked_fill(~there[:, None], -torch.inf), dim=-1)
        return torch.tanh(self.product(torch.cat([hidden, looked @ memory], dim=-1)))

    def loss(self, source, target):
        """Cross-entropy; all steps at once, or one by one where each reads the last features."""
        memory, there, state = self.encode(source)
        keys, state = self.w_k(memory), state[None]
        read = pad_sequence([torch.tensor([V, *tokens]) for tokens in target], batch_first=True)
        said = pad_sequence(
            [torch.tensor([*tokens, V]) for tokens in target], batch_first=True, padding_value=-100
        )
        words = self.target(read)
        if self.feeding:
            fed, found = torch.zeros(len(source), 1, H), []
            for t in range(words.shape[1]):
                hidden, state = self.decoder(torch.cat([words[:, t : t + 1], fed], dim=-1), state)
                fed = self.features(hidden, keys, memory, there)
                found.append(fed)
            features = torch.cat(found, dim=1)
        else:
            features = self.features(self.decoder(words, state)[0], keys, memory, there)
        kept = said != -100
        return nn.functional.cross_entropy(self.out(features[kept]), said[kept])

    @torch.inference_mode()
    def translated(self, source, beam, limit):
        """The best hypothesis of each sentence, by the mean of its log-probabilities."""
        memory, there, state = self.encode(source)
        keys, live = self.w_k(memory), torch.arange(len(source))
        finished = [[] for _ in source]
        state = state[:, None]  # (sources, hypotheses, H)
        totals = torch.zeros(len(source), 1)
        said = torch.full((len(source), 1, 1), V)
        place = torch.arange(2 * beam)
        for length in range(1, limit + 1):
            n, k, _ = state.shape
            words = self.target(said[:, :, -1]).view(n * k, 1, E)
            hidden, _ = self.decoder(words, state.reshape(1, n * k, H))
            state = hidden.view(n, k, H)
            scores = self.out(self.features(state, keys, memory, there))
            best, token = scores.topk(beam + 1, dim=-1)  # of a row; one may be the end
            best = best - scores.logsumexp(dim=-1, keepdim=True) + totals[:, :, None]
            found, at = best.view(n, -1).topk(min(2 * beam, k * (beam + 1)))
            row, token = at // (beam + 1), token.view(n, -1).gather(1, at)
            ends = token == V
            if ends[:, :beam].any():
                for one, which in ends[:, :beam].nonzero().tolist():
                    history = said[one, row[one, which], 1:].tolist()
                    finished[live[one]].append((found[one, which].item() / length, history))
            going_on = (ends * 2 * beam + place[: ends.shape[1]]).topk(beam, largest=False)[1]
            row, token, totals = (x.gather(1, going_on) for x in (row, token, found))
            left = [one for one in range(n) if len(finished[live[one]]) < beam]
            which = torch.tensor(left, dtype=torch.long)
            if len(left) < n:
                live, row, token, totals = live[which], row[which], token[which], totals[which]
                memory, keys, there = memory[which], keys[which], there[which]
            if not left:
                break
            state = state[which[:, None], row]
            said = torch.cat([said[which[:, None], row], token[:, :, None]], dim=2)
        else:
            said = said[:, :, 1:]
            for one, total, history in zip(live.tolist(), totals, said, strict=True):
                if not finished[one]:
                    finished[one].append((total[0].item() / limit, history[0].tolist()))
        return [max(found, key=lambda one: one[0])[1] for found in finished]


def training(count, feeding):
    trained, batch = Translator(feeding).load(weights(feeding)), pairs(count)
    parameters = list(trained.parameters())
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def work():
        adam.zero_grad()
        loss = trained.loss(*batch)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        return loss.item()

    return work


def case(name):
    what, count, size = name.split()
    if what == "train":
        return training(int(count), size == "feeding")
    translator, source = Translator().load(weights()).eval(), sentences(int(count))
    batches = [source[n : n + int(size)] for n in range(0, len(source), int(size))]
    return lambda: [
        tokens for batch in batches for tokens in translator.translated(batch, BEAM, LIMIT)
    ]
