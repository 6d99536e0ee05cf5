"""Background: the same batches, whatever happens in the thread or to the consumer."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.drawn import settings_of_batches, taken
from tinygrad_rnn import data
from tinygrad_rnn.errors import ArgumentError, ShapeError, StateDictError


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test():
    yield
    gc.collect()
    wait_until(lambda: not readers())


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "reading ahead"]


def wait_until(condition):
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Damaged:
    """Examples 0, 1, 2, ..., some of which cannot be read."""

    def __init__(self, count, bad, error=OSError):
        self.count, self.bad, self.error = count, bad, error

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        if number in self.bad:
            raise self.error(f"cannot read {number}")
        return number


def what_comes(batches, most=99):
    """Batches of an epoch as lists, and the errors in their places, ``most`` of them."""
    loop, found = iter(batches), []
    while len(found) < most:
        try:
            found.append(next(loop).tolist())
        except StopIteration:
            return found
        except OSError as error:
            found.append([str(error), *error.__notes__])
    return found


@given(settings_of_batches(), st.integers(1, 4), st.integers(0, 2))
def test_the_order_is_the_same_whoever_reads(drawn, ahead, readers):
    examples, options = drawn
    plain = read_ahead = data.Batches(examples, **options)
    wanted = [taken(plain) for _ in range(2)]
    read_ahead = data.Batches(examples, **options)
    for _ in range(readers):
        read_ahead = data.Background(read_ahead, ahead)
    assert [taken(read_ahead) for _ in range(2)] == wanted
    assert read_ahead.state_dict() == plain.state_dict()


@given(settings_of_batches(), st.integers(1, 3), st.integers(0, 50))
def test_its_place_is_that_of_what_was_handed_out(drawn, ahead, place):
    examples, options = drawn
    plain, inner = (data.Batches(examples, **options) for _ in range(2))
    with data.Background(inner, ahead) as read_ahead:
        place %= len(plain) + 1
        for _ in islice(read_ahead, place):
            pass
        for _ in islice(plain, place):
            pass
        assert len(read_ahead) == len(plain)
        assert read_ahead.state_dict() == plain.state_dict()
        assert (read_ahead.epoch, read_ahead.batch) == (plain.epoch, plain.batch)
        state = read_ahead.state_dict()
    assert inner.state_dict() == state  # closing puts it back
    rest = taken(plain)
    assert taken(read_ahead) == rest
    resumed = data.Background(data.Batches(examples, **options))
    resumed.load_state_dict(state)
    assert taken(resumed) == (rest if place < len(resumed) else [])


WHATEVER = st.lists(st.sampled_from(["save", "load", "close", 0, 1, 2, 3, 99]), max_size=12)


@given(WHATEVER, st.integers(1, 4), st.integers(1, 2), st.sets(st.integers(0, 6), max_size=2))
def test_whatever_is_done_there_is_no_difference_to_be_seen(steps, ahead, readers, bad):
    make = lambda: data.Batches(Damaged(7, bad), 2, shuffle=True)
    plain, read_ahead = make(), make()
    for _ in range(readers):
        read_ahead = data.Background(read_ahead, ahead)
    saved = plain.state_dict()
    for step in steps:
        if step == "save":
            saved = read_ahead.state_dict()
        elif step == "load":
            plain.load_state_dict(saved)
            read_ahead.load_state_dict(saved)
        elif step == "close":
            read_ahead.close()
        else:
            assert what_comes(read_ahead, step) == what_comes(plain, step)
        assert read_ahead.state_dict() == plain.state_dict()
        assert len(read_ahead) == len(plain)
    read_ahead.close()


@pytest.mark.parametrize("readers", [0, 1, 2])
def test_a_batch_that_cannot_be_read_is_told_and_passed_over(readers):
    batches = data.Batches(Damaged(7, bad={2, 3}), 2)
    for _ in range(readers):
        batches = data.Background(batches)
    wanted = [
        [0, 1],
        ["cannot read 2", "while example 2 was read.", "Batches: in batch 1 of epoch 0."],
        [4, 5],
        [6],
    ]
    assert what_comes(batches) == wanted
    assert what_comes(batches)[2:] == wanted[2:]
    assert batches.state_dict()["epoch"] == 2


def test_the_traceback_is_that_of_the_reader():
    with data.Background(data.Batches(Damaged(4, bad={1}), 2)) as batches:
        with pytest.raises(OSError, match="cannot read 1") as caught:
            taken(batches)
        frames = traceback.extract_tb(caught.value.__traceback__)
        assert Path(frames[-1].filename) == Path(__file__)
        assert frames[-1].line.startswith("raise self.error")
        assert taken(batches) == [[2, 3]]


def test_an_error_does_not_keep_the_thread_alive():
    batches = data.Background(data.Batches(Damaged(90, bad={0}), 1))
    with pytest.raises(OSError):
        next(iter(batches))
    gc.disable()  # by reference counts alone
    try:
        del batches
        wait_until(lambda: not readers())
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [StopIteration, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_a_reader_raises_arrives(error):
    batches = data.Background(data.Batches(Damaged(4, {1}, error), 1))
    wanted = RuntimeError if error is StopIteration else error
    loop = iter(batches)
    assert next(loop) == [0]
    with pytest.raises(wanted):
        next(loop)
    if error is StopIteration:
        assert [batch.tolist() for batch in loop] == [[2], [3]]


def test_anything_that_can_be_iterated_is_read_ahead():
    numbers = iter(range(5))
    batches = data.Background(numbers, ahead=2)
    assert list(islice(batches, 2)) == [0, 1]
    assert list(batches) == [2, 3, 4]  # what was read ahead is not lost
    assert list(batches) == []
    batches = data.Background([1, 2, 3])
    assert len(batches) == 3
    for count in range(4):
        assert list(batches) == [1, 2, 3]
        assert list(islice(batches, count)) == [1, 2, 3][:count]  # a list knows no place
    assert not hasattr(batches, "epoch")
    with pytest.raises(AttributeError, match=r"^Background.state_dict: batches is a list, which"):
        batches.state_dict()


def test_a_generator_that_fails_ends_after_its_error():
    def broken():
        yield 1
        raise ZeroDivisionError

    loop = iter(data.Background(broken()))
    assert next(loop) == 1
    with pytest.raises(ZeroDivisionError) as caught:
        next(loop)
    assert caught.value.__notes__ == ["Background: while batch 1 was read ahead."]
    assert list(loop) == []
    assert list(loop) == []


def test_places_that_cannot_be_had_are_an_error_and_no_silence():
    class Lost(data.Batches):
        def state_dict(self):
            if self.batch == 2:
                raise OSError("no place")
            return super().state_dict()

    batches = data.Background(Lost(np.arange(4), 1))
    loop = iter(batches)
    assert next(loop) == [0]
    with pytest.raises(OSError, match="no place"):
        next(loop)
    assert batches.state_dict()["batch"] == 1
    assert [batch.item() for batch in loop] == [2, 3]


def test_it_reads_as_far_ahead_as_it_was_told():
    asked = []

    class Told(Damaged):
        def __getitem__(self, number):
            asked.append(number)
            return number

    with data.Background(data.Batches(Told(20, ()), 1), ahead=3) as batches:
        next(iter(batches))
        wait_until(lambda: len(asked) == 4)
        time.sleep(0.02)
        assert asked == [0, 1, 2, 3]


@pytest.mark.parametrize("leave", ["close", "with", "forget", "load", "finish"])
def test_the_thread_ends(leave):
    inner = data.Batches(np.arange(100), 1)
    batches = data.Background(inner)
    assert not readers()
    start = batches.state_dict()
    next(iter(batches))
    assert len(readers()) == 1
    if leave == "close":
        batches.close()
        batches.close()
    elif leave == "with":
        with batches:
            pass
    elif leave == "load":
        batches.load_state_dict(start)
    elif leave == "finish":
        taken(batches)
    del batches
    wait_until(lambda: not readers())
    if leave != "forget":
        assert (inner.epoch, inner.batch) == {"load": (0, 0), "finish": (1, 0)}.get(leave, (0, 1))


def test_a_place_that_is_loaded_is_gone_to():
    batches = data.Background(data.Batches(np.arange(3), 1))
    start, loop = batches.state_dict(), iter(batches)
    list(islice(loop, 3))
    end = batches.state_dict()
    batches.load_state_dict(start)
    assert [batch.tolist() for batch in loop] == [[0], [1], [2]]
    assert list(loop) == []
    next(iter(batches))
    batches.load_state_dict(end)
    assert taken(batches) == []  # the epoch was over, but for what follows its loop
    assert taken(batches) == [[0], [1], [2]]


def test_the_number_of_batches_is_that_of_the_epoch_that_is_handed_out():
    make = lambda: data.Batches(
        np.arange(40), shuffle=True, lengths=np.arange(40) % 7, max_tokens=9, pool=2
    )
    plain, batches = make(), data.Background(make(), ahead=99)
    counts = []
    for _ in range(4):
        loop, number = iter(batches), len(plain)
        next(loop)
        wait_until(lambda: not readers())  # all is read, and what is inside is an epoch ahead
        assert len(batches) == number
        counts.append(number)
        list(loop), list(plain)
    assert len(set(counts)) > 1


def test_a_wrong_place_changes_nothing():
    batches = data.Background(data.Batches(np.arange(6), 2))
    next(iter(batches))
    with pytest.raises(StateDictError, match="examples is 6 here, and was 5"):
        batches.load_state_dict(data.Batches(np.arange(5), 2).state_dict())
    assert taken(batches) == [[2, 3], [4, 5]]


def slow_at(number):
    """Batches [0], [1], [2] of which one is waited for; when that begins, and what ends it."""
    began, may_end = threading.Event(), threading.Event()

    def slow(examples):
        if examples[0] == number:
            began.set()
            may_end.wait()
        return np.array(examples)

    return data.Background(data.Batches([0, 1, 2], 1, collate=slow)), began, may_end


@pytest.fixture
def interrupted():
    """Interrupt the main thread once, as soon as an event is set and it waits for something.

    With a handler of its own: a program that a shell has put into the background ignores the
    signal. Python loses the wake-up of one that comes just before a lock is waited for, so it
    is sent until it has been seen; the handler raises for the first one alone.
    """
    seen, threads = threading.Event(), []

    def handler(number, frame):
        if not seen.is_set():
            seen.set()
            raise KeyboardInterrupt

    def interrupt(began):
        began.wait()
        while not seen.wait(0.02):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def start(began):
        threads.append(threading.Thread(target=interrupt, args=[began]))
        threads[0].start()

    before = signal.signal(signal.SIGINT, handler)
    yield start
    seen.set()
    threads[0].join()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [0, 1])
def test_an_interrupt_of_the_consumer_loses_nothing(number, interrupted):
    batches, began, may_read = slow_at(number)
    loop = iter(batches)
    assert [next(loop).tolist() for _ in range(number)] == [[0]] * number
    interrupted(began)
    with pytest.raises(KeyboardInterrupt):
        next(loop)
    assert batches.batch == number
    may_read.set()
    assert taken(batches) == [[0], [1], [2]][number:]


def test_closing_waits_for_what_is_being_read():
    batches, began, may_read = slow_at(1)
    next(iter(batches))
    began.wait()
    threading.Timer(0.02, may_read.set).start()
    batches.close()
    assert not readers()
    assert batches.batches.batch == 1
    assert taken(batches) == [[1], [2]]


def test_settings_of_the_consumer_hold_in_the_thread():
    kinds = data.Background(data.Batches([0, 1], 1, collate=lambda _: np.geterr()["over"]))
    with np.errstate(over="raise"):
        assert list(kinds) == ["raise"] * 2


def run(script):
    """What a program prints; it has 20 seconds, and nothing may be said on stderr."""
    begin = "import numpy as np\nfrom tinygrad_rnn import data\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", begin + textwrap.dedent(script)],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_program_ends_while_a_thread_reads_or_waits():
    assert run("""
        import time
        waits = data.Background(data.Batches(np.arange(100), 1))
        reads = data.Background(data.Batches([0, 1], 1, collate=lambda x: x[0] or time.sleep(60)))
        next(iter(waits))
        import threading
        thread = threading.Thread(target=lambda: next(iter(reads)), daemon=True)
        thread.start()
        time.sleep(0.05)
        print("end")
    """) == "end\n"  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_goes_on_at_the_same_place():
    assert run("""
        import os
        batches = data.Background(data.Batches(np.arange(5), 1), ahead=2)
        loop = iter(batches)
        next(loop)
        if os.fork():
            os.wait()
        print([batch.item() for batch in loop], flush=True)
        os._exit(0)
    """) == "[1, 2, 3, 4]\n" * 2  # fmt: skip


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: data.Background(5), ArgumentError, "Background: batches is 5, expected data.Bat"),
        (lambda: data.Background([1], 0), ShapeError, "Background: ahead is 0, expected a whole"),
        (lambda: data.Background([1], 1.5), ArgumentError, "Background: ahead is 1.5, expected"),
    ],
)
def test_what_it_refuses(make, error, message):
    with pytest.raises(error, match="^" + message):
        make()
