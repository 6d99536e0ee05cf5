"""Images, clips or features of them, and what is said of each.

    found = images.captioned("photos", "dataset_flickr8k.json", split="train", size=(64, 64))
    print(found.left_out)

What cannot be used is left out, counted and named; the rest goes on.
"""

from tinygrad_rnn.data.images.captions import Captions, read_captions
from tinygrad_rnn.data.images.left_out import LeftOut
from tinygrad_rnn.data.images.pairing import Captioned, captioned
from tinygrad_rnn.data.images.pixels import read_image, scaled

__all__ = [
    "Captioned",
    "Captions",
    "LeftOut",
    "captioned",
    "read_captions",
    "read_image",
    "scaled",
]
