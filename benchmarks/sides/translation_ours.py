"""Translation: ``decode N B``, N sentences by a beam search, B side by side."""

from sides.translation_sizes import BEAM, LIMIT, E, H, V, sentences, weights

from tinygrad_rnn import models


def model():
    made = models.Seq2Seq(V, V, E, H, read_out="tanh")
    made.load_state_dict(weights())
    return made.eval()


def case(name):
    _, count, size = name.split()
    translator, source = model(), sentences(int(count))
    how = {"beam": BEAM, "max_length": LIMIT, "batch_size": int(size)}
    return lambda: [tokens.tolist() for tokens in translator.translated(source, **how)]
