"""Images, clips or features of them, and what is said of each, or asked about it.

    found = images.captioned("photos", "dataset_flickr8k.json", split="train", size=(64, 64))
    print(found.left_out)

What cannot be used is left out, counted and named; the rest goes on.
"""

from tinygrad_rnn.data.images.captions import Captions, read_captions
from tinygrad_rnn.data.images.left_out import LeftOut
from tinygrad_rnn.data.images.pairing import Captioned, captioned
from tinygrad_rnn.data.images.pixels import read_image, scaled
from tinygrad_rnn.data.images.questions import Asked, Questions, asked, read_questions

__all__ = [
    "Asked",
    "Captioned",
    "Captions",
    "LeftOut",
    "Questions",
    "asked",
    "captioned",
    "read_captions",
    "read_image",
    "read_questions",
    "scaled",
]
