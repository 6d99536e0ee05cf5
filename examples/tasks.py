"""Tasks that ask for a memory, for memory.py: what has to be kept, and what comes in between.

    adding    numbers, two of them marked          at the end: their sum
    copy      letters, blanks, a sign              then: the letters in their order
    parity    bits                                 after each: is the number of ones so far odd?
    brackets  ( [ ] { ( ) ...                      after a closing one: which is open now, if any?
    counting  aⁿ X bᵐ                              after some b: fewer than a, as many, or more?
    recall    letters, three of them marked        at the end: these three, in their order

Sequences are drawn anew for every step. Of the longest that are learned from there are more than
10¹⁸ for adding and recall, 10⁹ for parity and brackets, and 32,768 for copy, each between 30 kinds
of gaps: nobody learns them by heart. Held out are lengths: a third of all numbers to count to, and
whatever is longer than ``learned`` says. What answers without keeping anything is a ``guess``; how
often it is right is less than 70 % for each task, and is told beside the cells.
"""

from dataclasses import dataclass

import command
import numpy as np

LETTERS, MARKED, KINDS, DEEPEST = 8, 3, 3, 6
NEAR = 0.04  # a sum is right if it is off by less


@dataclass(frozen=True, eq=False)
class Drawn:
    """Sequences side by side.

    x (T, B, I)    what is read, step by step
    y (T, B)       the answer after each step: a class, or a number
    asked (T, B)   whether there is one
    """

    x: np.ndarray
    y: np.ndarray
    asked: np.ndarray


class Task:
    """What is common to all of them.

    inputs   how wide a step is
    answers  how many classes there are; 1: the answer is a number
    learned  lengths that are learned from, up to ``learned[-1]``
    asked    lengths that are asked about, also longer ones
    guess    the answer of who keeps nothing
    reads    a sign for each place of a step, to be shown; says: one for each class
    """

    inputs: int
    answers: int
    learned: list[int]
    asked: list[int]
    guess: float = 0
    reads = says = "abcdefgh.?"

    def draw(self, rng, rows, length):
        """So many sequences of a length."""
        raise NotImplementedError

    def right(self, found, drawn):
        """Which answers (N,) of those that were asked for are right."""
        true = drawn.y[drawn.asked]
        return np.abs(found - true) < NEAR if self.answers == 1 else found == true

    def baseline(self, drawn):
        """Which answers would be right without any memory."""
        return self.right(np.full(int(drawn.asked.sum()), self.guess), drawn)

    def written(self, drawn):
        """The first sequence in signs: what is read, and below it the answers."""
        read = [self.sign(step) for step in drawn.x[:, 0]]
        said = [
            (self.says[int(y)] if self.answers > 1 else f"{y:.2f}") if asked else ""
            for y, asked in zip(drawn.y[:, 0], drawn.asked[:, 0], strict=True)
        ]
        wide = max(map(len, read)) + 1
        return "\n".join("".join(f"{one:>{wide}}" for one in line) for line in (read, said))

    def sign(self, step):
        """A step, to be shown."""
        return self.reads[step.argmax()]


def parts(length, *shares):
    """Even numbers, four at least, that are about such shares of a length."""
    return [max(4, 2 * round(length * share / 2)) for share in shares]


def one_hot(ids, size):
    """Numbers (T, B) as rows (T, B, size) of zeros and a one."""
    return np.eye(size, dtype=np.float32)[ids]


class Adding(Task):
    """Numbers from 0 to 1; one of each half is marked."""

    inputs, answers, guess = 2, 1, 1.0

    def __init__(self, longest=50):
        self.learned = list(range(4, longest + 1, 2))
        self.asked = parts(longest, 1 / 5, 1 / 2, 1, 3 / 2, 2)

    def draw(self, rng, rows, length):
        """The answer is a number, after the last step."""
        half, each = length // 2, np.arange(rows)
        x = np.zeros((length, rows, 2), np.float32)
        x[..., 0] = rng.random((length, rows))
        marks = np.stack([rng.integers(half, size=rows), rng.integers(half, length, size=rows)])
        x[marks, each, 1] = 1
        y, asked = np.zeros((length, rows), np.float32), np.zeros((length, rows), bool)
        y[-1], asked[-1] = x[marks, each, 0].sum(axis=0), True
        return Drawn(x, y, asked)

    def sign(self, step):
        """A number, and * where it is marked."""
        return f"{step[0]:.2f}{'*' if step[1] else ' '}"


class Copy(Task):
    """Some of eight letters, blanks, a sign, and time to say them."""

    inputs, answers = LETTERS + 2, LETTERS + 1
    blank, ask = LETTERS, LETTERS + 1

    def __init__(self, longest=30, copied=5):
        self.copied = copied
        self.learned = list(range(1, longest + 1))
        self.asked = parts(longest, 1 / 5, 1 / 2, 1, 3 / 2, 2)

    def draw(self, rng, rows, length):
        """``length`` steps, the last of them the sign, lie between reading and saying letters."""
        letters = rng.integers(LETTERS, size=(self.copied, rows))
        read = np.full((length + 2 * self.copied, rows), self.blank)
        read[: self.copied], read[-self.copied - 1] = letters, self.ask
        y, asked = np.full(read.shape, self.blank), np.zeros(read.shape, bool)
        y[-self.copied :], asked[-self.copied :] = letters, True
        return Drawn(one_hot(read, self.inputs), y, asked)


class Parity(Task):
    """Bits, and after each whether those that are 1 are odd in number up to there."""

    inputs, answers = 1, 2
    says = "01"

    def __init__(self, longest=30):
        self.learned = list(range(2, longest + 1))
        self.asked = parts(longest, 1 / 5, 1 / 2, 1, 2, 5)

    def draw(self, rng, rows, length):
        """The last ten answers count, or all if there are fewer."""
        bits = rng.integers(2, size=(length, rows))
        asked = np.zeros(bits.shape, bool)
        asked[-10:] = True
        return Drawn(2 * bits[..., None].astype(np.float32) - 1, bits.cumsum(axis=0) % 2, asked)

    def sign(self, step):
        """A bit."""
        return self.says[int(step[0] > 0)]


class Brackets(Task):
    """Opening and closing brackets of three kinds, at most six open at a time."""

    inputs, answers, guess = 2 * KINDS, KINDS + 1, KINDS
    reads, says = "([{)]}", "([{-"

    def __init__(self, longest=40):
        self.learned = list(range(4, longest + 1, 2))
        self.asked = parts(longest, 1 / 5, 1 / 2, 1, 2, 4)

    def draw(self, rng, rows, length):
        """Asked is after what closes: the kind that is open then, or 3 where none is."""
        each = np.arange(rows)
        stack, depth = np.full((rows, DEEPEST + 1), KINDS), np.zeros(rows, int)
        read, y = np.zeros((2, length, rows), int)
        for t in range(length):
            opens = (depth == 0) | ((depth < DEEPEST) & (rng.random(rows) < 0.5))
            kinds = rng.integers(KINDS, size=rows)
            read[t] = np.where(opens, kinds, KINDS + stack[each, depth])
            depth += np.where(opens, 1, -1)
            stack[each[opens], depth[opens]] = kinds[opens]
            y[t] = stack[each, depth]
        return Drawn(one_hot(read, self.inputs), y, read >= KINDS)


class Counting(Task):
    """aⁿ X bᵐ: the number of b against that of a; a third of all n is never learned."""

    inputs, answers = 3, 3
    reads, says = "aXb", "<=>"

    def __init__(self, longest=20):
        self.learned = [n for n in range(1, longest + 1) if n % 3]
        self.asked = list(range(3, 2 * longest + 1, 3))

    def draw(self, rng, rows, length):
        """n is ``length``, or one near it that is learned; asked is at the n-th b and beside it.

        And at some others, lest it be enough to count to three again and again.
        """
        near = [n for n in self.learned if abs(n - length) <= 4]
        n = rng.choice(near if length in near else [length], size=rows)
        t = np.arange(3 * n.max() + 1)[:, None]
        read = np.where(t < n, 0, np.where(t == n, 1, 2))
        more = t - 2 * n  # how many more b than a there are
        other = rng.random(more.shape) < 1.5 / n
        asked = ((np.abs(more) <= 1) | other) & (t > n) & (more <= n)
        return Drawn(one_hot(read, self.inputs), np.sign(more) + 1, asked)


class Recall(Task):
    """Letters, three of them marked; then a sign, and time to say these."""

    inputs, answers = LETTERS + 2, LETTERS
    mark, ask = LETTERS, LETTERS + 1

    def __init__(self, longest=30):
        self.learned = list(range(4, longest + 1))
        self.asked = parts(longest, 1 / 5, 1 / 2, 1, 3 / 2, 2)

    def draw(self, rng, rows, length):
        """``length`` letters, then three steps."""
        letters = rng.integers(LETTERS, size=(length, rows))
        marked = np.sort(rng.random((length, rows)).argsort(axis=0)[:MARKED], axis=0)
        x = np.zeros((length + MARKED, rows, self.inputs), np.float32)
        x[:length] = one_hot(letters, self.inputs)
        x[marked, np.arange(rows), self.mark] = 1
        x[length:, :, self.ask] = 1
        y, asked = np.zeros((2, length + MARKED, rows), int)
        y[length:], asked[length:] = np.take_along_axis(letters, marked, axis=0), 1
        return Drawn(x, y, asked.astype(bool))

    def sign(self, step):
        """A letter, and * where it is marked."""
        return super().sign(step) + ("*" if step[self.mark] else " ")


TASKS = {
    "adding": Adding, "copy": Copy, "parity": Parity, "brackets": Brackets, "counting": Counting,
    "recall": Recall,
}  # fmt: skip

if __name__ == "__main__":
    with command.ended():
        for name, task in TASKS.items():
            print(f"{name}\n{task().written(task().draw(np.random.default_rng(1), 1, 8))}\n")
        print("the answers stand below")
