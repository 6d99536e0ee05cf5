"""The memory example as a tool; its tasks, answered again by hand from what is to be read."""

from pathlib import Path

import numpy as np
import pytest

from tests.loaded_example import EXAMPLES, command, loaded

ROWS = 40


@pytest.fixture
def tasks(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return loaded("tasks")


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path):
    """A function that runs the command in an empty folder: what it wrote, and what it died of."""
    monkeypatch.syspath_prepend(str(EXAMPLES))  # where tasks.py is
    module = loaded("memory")
    monkeypatch.setattr(module, "ASKED", 4)
    monkeypatch.chdir(tmp_path)
    return command(module, "memory", monkeypatch, capsys)


# ----- the tasks -----


def adding(signs):
    return {len(signs) - 1: sum(float(sign[:-1]) for sign in signs if sign[-1] == "*")}


def copied(signs):
    begin = signs.index("?") + 1
    return dict(enumerate(signs[: len(signs) - begin], begin))


def parity(signs):
    bits = np.array(signs, int)
    return {t: str(bits[: t + 1].sum() % 2) for t in range(len(bits))[-10:]}


def brackets(signs):
    stack, found = [], {}
    for t, sign in enumerate(signs):
        if sign in "([{":
            stack.append(sign)
        else:
            assert "([{".index(stack.pop()) == ")]}".index(sign)
            found[t] = stack[-1] if stack else "-"
    assert len(stack) <= 6
    return found


def counting(signs):
    n, found = signs.index("X"), {}
    assert set(signs[:n]) == {"a"}
    assert set(signs[n + 1 :]) == {"b"}
    for t in range(n + 1, len(signs)):
        found[t] = "<" if t - n < n else ">" if t - n > n else "="
    return found


def recall(signs):
    return dict(enumerate((sign[0] for sign in signs if sign[-1] == "*"), len(signs) - 3))


BY_HAND = {"adding": adding, "copy": copied, "parity": parity, "brackets": brackets,
           "counting": counting, "recall": recall}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_answers_are_those_of_what_is_read(tasks, name, monkeypatch):
    monkeypatch.setattr(tasks.Adding, "sign", lambda _, step: f"{step[0]}{'*' if step[1] else ' '}")
    task = tasks.TASKS[name]()
    for length in (task.learned[0], task.learned[-1], task.asked[0], task.asked[-1]):
        drawn = task.draw(np.random.default_rng(length), ROWS, length)
        for row in range(ROWS):
            true = BY_HAND[name]([task.sign(step) for step in drawn.x[:, row]])
            asked = np.flatnonzero(drawn.asked[:, row])
            assert set(asked) <= set(true)
            assert name == "counting" or set(asked) == set(true)
            for t in asked:
                if name == "adding":
                    assert drawn.y[t, row] == pytest.approx(true[t], abs=1e-6)
                else:
                    assert task.says[drawn.y[t, row]] == true[t]


@pytest.mark.parametrize("name", BY_HAND)
def test_a_guess_is_right_in_less_than_seventy_percent(tasks, name):
    task = tasks.TASKS[name]()
    rng = np.random.default_rng(0)
    for length in task.asked:
        assert task.baseline(task.draw(rng, 200, length)).mean() < 0.7
    assert max(task.learned) < max(task.asked)


def test_numbers_to_count_to_are_held_out(tasks):
    task = tasks.Counting()
    rng = np.random.default_rng(0)
    learned = {
        int(n) for length in task.learned for n in task.draw(rng, 50, length).x[..., 0].sum(axis=0)
    }
    assert learned == set(task.learned)
    assert not learned & set(task.asked)
    for n in task.asked:
        assert (task.draw(rng, 5, n).x[..., 0].sum(axis=0) == n).all()


def test_in_counting_the_three_places_around_the_number_are_asked(tasks):
    drawn = tasks.Counting().draw(np.random.default_rng(0), 50, 7)
    for row in range(50):
        n = int(drawn.x[:, row, 0].sum())
        assert drawn.asked[2 * n - 1 : 2 * n + 2, row].tolist() == [n > 1, True, True]
    others = drawn.asked.sum(axis=0) - 3
    assert others.max() > 1


def test_batches_are_the_same_whenever_they_are_drawn(tool):
    task = tool.module.tasks.Recall()
    draws = tool.module.Draws(task, 4, 3, seed=5)
    assert len(draws) == 3
    for name in ("x", "y", "asked"):
        np.testing.assert_array_equal(getattr(draws[1], name), getattr(draws[1], name))
    shapes = {
        draw.x.shape for draw in map(tool.module.Draws(task, 4, 30, 5).__getitem__, range(30))
    }
    assert len(shapes) > 5


# ----- the command -----


def test_cells_learn_what_they_are_told_and_are_compared(tool):
    said, died = tool(
        "--tasks", "parity", "counting", "--cells", "RNN", "GRU", "--steps", 2, "--longest", 6,
        "--width", 8,
    )  # fmt: skip
    assert not died
    lines = said.splitlines()
    head = next(n for n, line in enumerate(lines) if line.split() == ["parity", "counting"])
    assert lines[head + 1].split() == ["to", "6", "longer", "to", "5", "longer"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[head + 2 : head + 5]}
    assert list(rows) == ["RNN", "GRU", "guess"]
    assert all(len(shares) == 4 for shares in rows.values())
    assert lines[-1] == "wrote out/memory/memory.svg"
    drawn = Path("out/memory/memory.svg").read_text()
    assert drawn.count('class="title"') == 2
    assert drawn.count(">RNN<") == drawn.count(">guess<") == 2


def test_lengths_up_to_the_longest_that_was_learned_are_apart_from_longer_ones(tool):
    task = tool.module.tasks.Parity(longest=10)
    assert tool.module.both(task, {4: 1.0, 10: 0.5, 12: 0.25, 20: 0.0}) == (0.75, 0.125)


def test_a_cell_that_can_learns(tool):
    args = tool.module.arguments(["--steps", "150", "--width", "8"])
    task = tool.module.tasks.Parity(longest=6)
    model = tool.module.learn(task, "GRU", args)
    shares = {n: model.right(drawn) for n, drawn in tool.module.exam(task, 0).items()}
    assert tool.module.both(task, shares)[0] == 1


def test_the_loss_counts_what_is_asked_alone(tool):
    for task in (tool.module.tasks.Adding(longest=8), tool.module.tasks.Brackets(longest=8)):
        drawn = task.draw(np.random.default_rng(0), 3, 8)
        model = tool.module.Reader(task, "GRU", 8)
        scores = model.out(model.layer(drawn.x)[0]).numpy()
        places = list(zip(*np.nonzero(drawn.asked), strict=True))
        if task.answers == 1:
            each = [(scores[place][0] - drawn.y[place]) ** 2 for place in places]
        else:
            each = [
                np.log(np.exp(scores[place]).sum()) - scores[place][drawn.y[place]]
                for place in places
            ]
        assert model.loss(drawn).item() == pytest.approx(np.mean(each), rel=1e-5)


def test_all_cells_are_those_that_read(tool):
    cells = tool.module.arguments(["--cells", "all"]).cells
    assert {"RNN", "LSTM", "GRU", "MGU", "MUT1", "NAS", "RHN", "PeepholeLSTM"} <= set(cells)
    assert "Autonomous" not in cells


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--cells LSTMs", "invalid choice: 'LSTMs'"),
        ("--tasks sums", "invalid choice: 'sums'"),
        ("--steps 0", "--steps is 0, expected a whole number from 1 up"),
        ("--seed -1", "--seed is -1, expected a whole number from 0 up"),
        ("--longest 3", "--longest is 3, expected 0, or a whole number from 6 up"),
    ],
)
def test_what_cannot_be_done_is_said(tool, arguments, told):
    _, died = tool(*arguments.split())
    assert told in died
    assert not Path("out").exists()


def test_signs_show_what_is_read_and_what_is_asked(tasks):
    for task in tasks.TASKS.values():
        read, said = task().written(task().draw(np.random.default_rng(1), 1, 8)).split("\n")
        assert len(read) == len(said)
        assert said.strip()
