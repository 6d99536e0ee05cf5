"""Opinions and whether they are good or bad, for sentiment.py: no word alone tells.

    the film was terribly exciting                                               good
    the music was not bad at all                                                 good
    i thought that the plot would be funny but the plot was anything but clever  bad
    although nobody could call the acting dull the ending was never charming     bad

What is said of a thing is turned by "not", "hardly", "if only", "nobody could say that"; it counts
less than what "but" or "although" sets against it. Each adjective is turned as often as not, and of
two opinions in a sentence one is good and one bad, so that words without their order leave one to
guess. Pairs of an adjective and how it is said are held out, one of eight: "anything but dull" is
learned from, say, and "anything but silly" never, and every sentence that is asked has such a
pair. There are more than 600 million different ones.
"""

import random
from dataclasses import dataclass
from zlib import crc32

import command

GOOD = "exciting funny clever moving charming gripping beautiful brilliant".split()
BAD = "dull silly boring clumsy tedious ugly awful bad".split()
NOUNS = "film plot music acting ending story dialogue beginning".split()
# How an adjective may be said, and whether that turns it.
KEPT = (
    "{}", "very {}", "so {}", "really {}", "terribly {}", "awfully {}", "wonderfully {}",
    "never anything but {}",
)  # fmt: skip
TURNED = (
    "not {}", "not {} at all", "never {}", "hardly {}", "far from {}", "anything but {}",
    "not very {}", "not even {}",
)  # fmt: skip
# How a whole opinion may be said.
SAID = ("the {noun} was {so}", "i found the {noun} {so}", "we all thought the {noun} {so}")
DENIED = (
    "nobody could call the {noun} {so}", "if only the {noun} had been {so}",
    "the {noun} could have been {so}", "it is not true that the {noun} was {so}",
)  # fmt: skip
# How two are set against each other: what counts is {main}.
AGAINST = (
    "{other} but {main}", "although {other} {main}", "{main} although {other}",
    "{other} at first yet in the end {main}", "they say that {other} but {main}",
    "{main} even if {other}",
)  # fmt: skip
EXPECTED = "i thought that the {noun} would be {so} but {main}"


@dataclass(frozen=True)
class Opinion:
    """A sentence, what it says, and what it is made of.

    kind   "plain", "turned" by a word before the adjective, "denied" as a whole, or "contrast"
    pairs  how each adjective is said
    """

    text: str
    label: str
    kind: str
    pairs: tuple[str, ...]

    def is_held_out(self):
        """Whether it has a pair that is never learned from."""
        return any(crc32(pair.encode()) % 8 == 0 for pair in self.pairs)


class Critic:
    """Gives opinions, one after the other."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def opinion(self):
        """Any; half of them are contrasts, half of all are good."""
        label = self.random.choice(["good", "bad"])
        if self.random.random() < 0.5:
            return self.single(label)
        main, other = self.single(label), self.single("bad" if label == "good" else "good")
        form = self.random.choice([*AGAINST, EXPECTED])
        if form is EXPECTED:
            noun = self.random.choice(NOUNS)
            said, _, pair = self.adjective(other.label == "good")
            text = form.format(noun=noun, so=said, main=main.text)
            return Opinion(text, label, "contrast", (pair, *main.pairs))
        text = form.format(main=main.text, other=other.text)
        return Opinion(text, label, "contrast", (*main.pairs, *other.pairs))

    def single(self, label):
        """An opinion of one thing."""
        denied = self.random.random() < 0.35
        said, turned, pair = self.adjective((label == "good") != denied)
        form = self.random.choice(DENIED if denied else SAID)
        kind = "denied" if denied else "turned" if turned else "plain"
        return Opinion(form.format(noun=self.random.choice(NOUNS), so=said), label, kind, (pair,))

    def adjective(self, good):
        """One that says something good or bad, turned or not; whether it is; how it is said."""
        turned = self.random.random() < 0.5
        how = self.random.choice(TURNED if turned else KEPT)
        said = how.format(self.random.choice(GOOD if good != turned else BAD))
        return said, turned, said


def opinions(learned, asked, seed=0):
    """So many to learn from, all different, and so many others, each with a pair held out."""
    critic = Critic(seed)
    found = {False: {}, True: {}}
    most = {False: learned, True: asked}
    while any(len(found[held_out]) < most[held_out] for held_out in found):
        one = critic.opinion()
        some = found[one.is_held_out()]
        if len(some) < most[one.is_held_out()]:
            some[one.text] = one
    return list(found[False].values()), list(found[True].values())


if __name__ == "__main__":
    with command.ended():
        for one in opinions(8, 0)[0]:
            print(f"{one.label:5} {one.text}")
