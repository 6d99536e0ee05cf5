"""A model of translation that both sides have, to the last weight, and sentences for it.

E 256, GRU 512 in both directions, a decoder GRU 512 with additive attention, features 512 wide
by tanh (Luong et al. 2015), V 8,000. Nothing has been learned; scores are as far apart as those
of a model that has, and sentences end after some 15 tokens.
"""

import numpy as np

V, E, H = 8000, 256, 512
BEAM, LIMIT = 5, 40  # of a search: how many hypotheses of a sentence, how long they become
GRUS = ["encoder.layers.layers.0.forward", "encoder.layers.layers.0.reverse"]
GRUS += ["decoder.layers.layers.0.forward"]
SCORE = "decoder.attention.attention.score"
GRU = {"w_x": (E, 3 * H), "w_h": (H, 3 * H), "b": (3 * H,), "b_h": (H,)}
SHAPES = {
    "target_embedding.weight": (V + 1, E),
    "encoder.embedding.weight": (V + 1, E),
    **{f"{gru}.{name}": shape for gru in GRUS for name, shape in GRU.items()},
    f"{SCORE}.w_q": (H, H),
    f"{SCORE}.w_k": (2 * H, H),
    f"{SCORE}.b": (H,),
    f"{SCORE}.v": (H,),
    "decoder.read_out.product.weight": (3 * H, H),
    "decoder.read_out.product.bias": (H,),
    "bridge.products.0.0.weight": (2 * H, H),
    "bridge.products.0.0.bias": (H,),
    "out.weight": (H, V + 1),
    "out.bias": (V + 1,),
}  # fmt: skip
SCORES, ENDS = 0.6, 2.3  # how far scores are apart, and how likely sentences end


def weights(feeding=False):
    """All of them by our names and in our layout, x @ w; with feeding the decoder reads more."""
    rng = np.random.default_rng(0)
    found = {}
    shapes = SHAPES | ({f"{GRUS[2]}.w_x": (E + H, 3 * H)} if feeding else {})
    for name, shape in shapes.items():
        bound = 1.0 if "embedding" in name else SCORES if name == "out.weight" else H**-0.5
        found[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
    found["out.bias"][V] = ENDS
    return found


def sentences(count):
    """Lists of tokens as long as sentences are."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, V, length).tolist() for length in rng.integers(8, 21, count)]


def pairs(count):
    """Sources and targets of a batch, of like lengths as batches have them."""
    rng = np.random.default_rng(2)
    lengths = rng.integers(11, 15, (2, count))
    return [[rng.integers(0, V, length).tolist() for length in side] for side in lengths]
