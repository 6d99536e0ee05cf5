"""The same by PyTorch's DataLoader: a sampler of buckets as people write it, pad_sequence."""

import torch
from sides.ragged import BATCH, COUNT, POOL, TOKENS, examples
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader


class Buckets:
    """Batches of like lengths: pools of a shuffled order are sorted, batches shuffled."""

    def __init__(self, lengths, max_tokens=None):
        self.lengths, self.max_tokens = lengths.tolist(), max_tokens

    def __iter__(self):
        order = torch.randperm(COUNT).tolist()
        pool = POOL * BATCH
        batches = []
        for begin in range(0, COUNT, pool):
            part = sorted(order[begin : begin + pool], key=self.lengths.__getitem__)
            batches += self.cut(part)
        for number in torch.randperm(len(batches)).tolist():
            yield batches[number]

    def cut(self, part):
        if self.max_tokens is None:
            return [part[k : k + BATCH] for k in range(0, len(part), BATCH)]
        found = [[]]
        for number in part:
            if (len(found[-1]) + 1) * self.lengths[number] > self.max_tokens:
                found.append([])
            found[-1].append(number)
        return found


def collate(examples):
    tokens, labels = zip(*examples, strict=True)
    return pad_sequence(tokens), torch.tensor([len(t) for t in tokens]), torch.stack(labels)


def case(name):
    tokens, labels, lengths = examples()
    dataset = list(zip(map(torch.from_numpy, tokens), torch.from_numpy(labels), strict=True))
    kind = name.split()[0]
    if kind == "shuffled":
        order = {"batch_size": BATCH, "shuffle": True}
    else:
        order = {"batch_sampler": Buckets(lengths, TOKENS if kind == "tokens" else None)}
    if "ahead" in name:
        order |= {"num_workers": 1, "persistent_workers": True}
    loader = DataLoader(dataset, collate_fn=collate, **order)

    def epoch():
        for _ in loader:
            pass

    return epoch
