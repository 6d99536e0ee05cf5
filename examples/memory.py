"""What each cell can keep: six tasks that nobody solves without a memory, over any cells.

    h_t = cell(x_t, h_{t-1})        answer_t = h_t w + b

The tasks (tasks.py) ask for a sum of two numbers from long ago, for letters that were read before
blanks, whether bits are odd, which bracket is open, whether there are as many b as a, and for
letters that were marked. One layer of each cell learns each of them from the same short sequences,
and is asked others, as long and longer. Without arguments these are RNN, LSTM and GRU, and it
takes one to two minutes; then there is one table, and one picture of what is right by length.

    memory.py --cells all --steps 2000               all cells that read an input
    memory.py --cells GRU MGU MUT1 --tasks parity    some of them
    memory.py --tasks adding copy --longest 200      longer sequences
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

import command
import numpy as np
import tasks

import tinygrad_rnn as tg
from tinygrad_rnn import data, inspect, losses, nn, optim, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
# All cells that read an input, by their names.
CELLS = {
    name.removesuffix("Cell"): kind
    for name, kind in vars(nn).items()
    if name.endswith("Cell") and name != "Cell" and kind.input is not None
}
ASKED = 20 if SHORT else 500  # sequences of each length
WIDE = 18  # letters of a cell's name


class Reader(nn.Module):
    """One layer of a cell, and what it answers to a task."""

    def __init__(self, task: tasks.Task, cell: str, width: int) -> None:
        super().__init__()
        self.task = task
        self.layer = nn.Recurrent(CELLS[cell](task.inputs, width))
        self.out = nn.Linear(width, task.answers)

    def forward(self, drawn: tasks.Drawn) -> tg.Tensor:
        """Scores (N, K) of the N answers that are asked for; numbers (N,) where K is 1."""
        h, _ = self.layer(drawn.x)
        scores = self.out(h[drawn.asked])
        return scores[:, 0] if self.task.answers == 1 else scores

    def loss(self, drawn: tasks.Drawn) -> tg.Tensor:
        """Squared error of numbers, cross-entropy of classes."""
        measure = losses.mse if self.task.answers == 1 else losses.cross_entropy
        return measure(self(drawn), drawn.y[drawn.asked])

    def right(self, drawn: tasks.Drawn) -> float:
        """The share of answers that are right."""
        with tg.no_grad():
            found = self(drawn).numpy()
        best = found if self.task.answers == 1 else found.argmax(axis=-1)
        return float(self.task.right(best, drawn).mean())


class Draws(Sequence):
    """Batches that are drawn when they are asked for, each the same whenever it is."""

    def __init__(self, task: tasks.Task, rows: int, count: int, seed: int) -> None:
        self.task, self.rows, self.count, self.seed = task, rows, count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tasks.Drawn:
        rng = np.random.default_rng([self.seed, number])
        return self.task.draw(rng, self.rows, int(rng.choice(self.task.learned)))


def trainer_of(model: nn.Module, rate: float, steps: int) -> training.Trainer:
    """Adam, with a rate that falls to nothing."""
    optimizer = optim.Adam(model.parameters(), lr=rate)
    schedule = optim.schedules.CosineAnnealingLR(optimizer, T_max=steps)
    return training.Trainer(
        model, optimizer, lambda model, drawn: model.loss(drawn), schedule=schedule, clip_norm=1.0
    )


def learn(task: tasks.Task, cell: str, args: argparse.Namespace) -> Reader:
    """A reader that has learned a task."""
    tg.seed(args.seed)
    model = Reader(task, cell, args.width)
    draws = Draws(task, args.batch, args.steps, args.seed)
    batches = data.Batches(draws, 1, collate=lambda one: one[0])
    if trainer_of(model, args.rate, args.steps).fit(batches, 1, progress=False).interrupted:
        raise KeyboardInterrupt
    return model


def exam(task: tasks.Task, seed: int) -> dict[int, tasks.Drawn]:
    """Sequences of all lengths that are asked about."""
    rng = np.random.default_rng([seed, 1_000_000])
    return {length: task.draw(rng, ASKED, length) for length in task.asked}


def both(task: tasks.Task, shares: dict[int, float]) -> tuple[float, float]:
    """The mean over lengths up to those that were learned from, and over longer ones."""
    longest = task.learned[-1]
    parts = [[s for n, s in shares.items() if (n > longest) == more] for more in (False, True)]
    return float(np.mean(parts[0])), float(np.mean(parts[1]))


# ----- what is told -----


class Found:
    """Shares of right answers by task, cell and length; the cell "guess" keeps nothing."""

    def __init__(self, chosen: dict[str, tasks.Task], cells: list[str]) -> None:
        self.tasks, self.cells = chosen, cells
        self.shares: dict[tuple[str, str], dict[int, float]] = {}

    def table(self) -> str:
        """Cells against tasks: of sequences as long as those that were learned from, and longer."""
        names = "".join(f"{name:>15}" for name in self.tasks)
        longest = [f"to {task.learned[-1]}" for task in self.tasks.values()]
        ends = "".join(f"{one:>8}{'longer':>7}" for one in longest)
        lines = [" " * WIDE + names, " " * WIDE + ends]
        for cell in (*self.cells, "guess"):
            parts = [both(task, self.shares[name, cell]) for name, task in self.tasks.items()]
            lines.append(f"{cell:{WIDE}}" + "".join(f"{a:>8.0%}{b:>7.0%}" for a, b in parts))
        return "\n".join(lines)

    def picture(self) -> str:
        """A chart for each task: what is right, by length."""
        charts = []
        for name, task in self.tasks.items():
            lines = []
            for number, cell in enumerate((*self.cells, "guess")):
                shares = self.shares[name, cell]
                percent = [100 * share for share in shares.values()]
                grey = cell == "guess"
                lines.append(inspect.Line(cell, list(shares), percent, 6 if grey else number, grey))
            longest = task.learned[-1]
            lines.append(inspect.Line("", [longest, longest], [0, 100], 6, dashed=True))
            ends = {"x": (0.0, task.asked[-1] * 1.03), "y": (0.0, 104.0)}
            charts.append(
                inspect.Chart(name, "length", "% right", lines, ends=ends, width=460, height=300)
            )
        return inspect.page_of_charts(charts, columns=3)


def measure(chosen: dict[str, tasks.Task], args: argparse.Namespace) -> Found:
    """Let every cell learn every task; say what came of it as it goes."""
    found = Found(chosen, args.cells)
    for name, task in chosen.items():
        asked = exam(task, args.seed)
        found.shares[name, "guess"] = {n: float(task.baseline(d).mean()) for n, d in asked.items()}
        print(
            f"{name}: sequences up to {task.learned[-1]} are learned from; right answers by length",
            flush=True,
        )
        for cell in args.cells:
            begin = time.perf_counter()
            model = learn(task, cell, args)
            shares = found.shares[name, cell] = {n: model.right(d) for n, d in asked.items()}
            said = "  ".join(f"{n}: {share:.0%}" for n, share in shares.items())
            print(f"    {cell:14} {said}   {time.perf_counter() - begin:.1f} s", flush=True)
    return found


# ----- the command -----


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What the command line says, or a list of as much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    add = parser.add_argument
    add("--tasks", nargs="+", choices=tasks.TASKS, default=list(tasks.TASKS), metavar="TASK",
        help=", ".join(tasks.TASKS))  # fmt: skip
    add("--cells", nargs="+", choices=[*CELLS, "all"], default=["RNN", "LSTM", "GRU"],
        metavar="CELL", help=f"all, or some of {', '.join(CELLS)}")  # fmt: skip
    for name, value, what in (
        ("out", "out/memory", "the folder for the picture"),
        ("longest", 0, "length that is learned from; 0: of each task its own"),
        ("width", 8 if SHORT else 64, "of the layer"),
        ("batch", 32, "sequences side by side"),
        ("steps", 3 if SHORT else 1000, "for each task and cell"),
        ("rate", 1e-2, "learning rate at first"),
        ("seed", 0, "of all random numbers"),
    ):
        add(f"--{name}", type=type(value), default=value, help=what)
    args = command.parsed(parser, given)
    args.cells = list(CELLS) if "all" in args.cells else list(dict.fromkeys(args.cells))
    if args.longest and args.longest < 6:
        parser.error(f"--longest is {args.longest}, expected 0, or a whole number from 6 up")
    for name, least in (("longest", 0), ("width", 1), ("batch", 1), ("steps", 1), ("seed", 0)):
        if vars(args)[name] < least:
            parser.error(f"--{name} is {vars(args)[name]}, expected a whole number from {least} up")
    return args


@command.ended()
def main() -> None:
    """Learn, ask, tell; what is wrong is one line, not a traceback."""
    args = arguments()
    sizes = {"longest": args.longest} if args.longest else {}
    chosen = {name: tasks.TASKS[name](**sizes) for name in args.tasks}
    command.made(Path(args.out))
    found = measure(chosen, args)
    print(
        "\nright answers, of sequences as long as those learned from and of longer ones; a "
        f"guess keeps nothing\n{found.table()}\n"
    )
    picture = Path(args.out) / "memory.svg"
    picture.write_text(found.picture(), "utf-8")
    print(f"wrote {picture}")


if __name__ == "__main__":
    main()
