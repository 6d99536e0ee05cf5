"""An epoch of padded batches of ragged examples."""

from sides.ragged import BATCH, POOL, TOKENS, examples

from tinygrad_rnn import data


def batches(name):
    tokens, labels, lengths = examples()
    options = {
        "shuffled": {"batch_size": BATCH},
        "buckets": {"batch_size": BATCH, "lengths": lengths},
        "tokens": {"max_tokens": TOKENS, "lengths": lengths},
    }
    made = data.Batches(
        (tokens, labels),
        shuffle=True,
        collate=data.padded(),
        pool=POOL,
        **options[name.split()[0]],
    )
    return data.Background(made) if "ahead" in name else made


def case(name):
    made = batches(name)

    def epoch():
        for _ in made:
            pass

    return epoch
