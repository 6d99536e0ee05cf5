"""Names of recurrent cases: "train LSTM 35 20 200 num_layers=2 loss=last"."""

from ast import literal_eval


def arguments(name):
    """What is done, the kind, the sizes, whether the loss is on the last step, other options."""
    what, kind, *rest = name.split()
    sizes = [int(word) for word in rest if "=" not in word]
    options = dict(word.split("=") for word in rest if "=" in word)
    last_only = options.pop("loss", "all") == "last"
    return what, kind, sizes, last_only, {key: literal_eval(v) for key, v in options.items()}
