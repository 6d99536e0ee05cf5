"""Translation: ``decode N B``, N sentences by a beam search, B side by side; ``train B plain``."""

from sides.translation_sizes import BEAM, LIMIT, E, H, V, pairs, sentences, weights

from tinygrad_rnn import models, optim


def model(feeding=False):
    made = models.Seq2Seq(V, V, E, H, read_out="tanh", input_feeding=feeding)
    made.load_state_dict(weights(feeding))
    return made


def training(count, feeding):
    trained, batch = model(feeding), pairs(count)
    parameters = list(trained.parameters())
    adam = optim.Adam(parameters, lr=1e-3)

    def work():
        adam.zero_grad()
        loss, _ = trained.loss(*batch)
        loss.backward()
        optim.clip_grad_norm(parameters, 1.0)
        adam.step()
        return loss.item()

    return work


def case(name):
    what, count, size = name.split()
    if what == "train":
        return training(int(count), size == "feeding")
    translator, source = model().eval(), sentences(int(count))
    how = {"beam": BEAM, "max_length": LIMIT, "batch_size": int(size), "early_stopping": True}
    return lambda: [tokens.tolist() for tokens in translator.translated(source, **how)]
