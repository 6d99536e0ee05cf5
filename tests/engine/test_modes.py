"""Grad modes: what is recorded where, and that no thread, task or generator sees another's."""

import asyncio
import threading

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import modes


def recorded():
    """Whether an operation is recorded here."""
    return (tg.ones(1, requires_grad=True) * 2).requires_grad


def test_operations_are_recorded_unless_somebody_says_no():
    assert recorded()
    assert tg.is_grad_enabled()
    with tg.no_grad():
        assert not recorded()
        assert not tg.is_grad_enabled()
        with tg.enable_grad():
            assert recorded()
        assert not recorded()
    assert recorded()


def test_set_grad_enabled_takes_a_condition():
    for training in (True, False):
        with tg.set_grad_enabled(training):
            assert recorded() is training
    assert recorded()


def test_inference_mode_outlasts_enable_grad():
    with tg.inference_mode():
        assert not recorded()
        with tg.enable_grad():
            assert not recorded()
            with modes.recorded():  # a derivative that needs a graph
                assert recorded()
                with tg.enable_grad():
                    assert recorded()
        with tg.set_grad_enabled(True):
            assert not recorded()
    assert recorded()


def test_constants_are_never_recorded():
    assert not (tg.ones(1) * 2).requires_grad


def test_a_mode_ends_with_an_exception():
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert recorded()


def test_one_object_may_be_entered_again_and_within_itself():
    off = tg.no_grad()
    with off, tg.enable_grad(), off:
        assert not recorded()
    assert recorded()
    with off:
        assert not recorded()
    assert recorded()


@pytest.mark.parametrize(
    "mode", [tg.no_grad, tg.inference_mode, lambda: tg.set_grad_enabled(False)]
)
def test_modes_decorate_functions(mode):
    @mode()
    def function(x, *, y):
        """What it does."""
        return recorded(), x, y

    assert function(1, y=2) == (False, 1, 2)
    assert (function.__name__, function.__doc__) == ("function", "What it does.")
    assert recorded()

    class Thing:
        @mode()
        def method(self):
            return recorded()

    assert not Thing().method()


def test_a_decorated_function_may_call_itself():
    @tg.no_grad()
    def down(n):
        return recorded() if n == 0 else down(n - 1) or recorded()

    assert not down(3)
    assert recorded()


def test_a_decorated_generator_leaves_its_caller_alone():
    @tg.no_grad()
    def numbers():
        try:
            got = yield recorded()
            yield got, recorded()
        except KeyError:
            yield "caught", recorded()
        return "end"

    source = numbers()
    assert next(source) is False
    assert recorded()
    assert source.send(5) == (5, False)
    assert recorded()
    with pytest.raises(StopIteration) as end:
        next(source)
    assert end.value.value == "end"
    source = numbers()
    next(source)
    assert source.throw(KeyError) == ("caught", False)
    assert recorded()
    closed = []

    @tg.no_grad()
    def careful():
        try:
            yield
        finally:
            closed.append(recorded())

    source = careful()
    next(source)
    source.close()
    assert closed == [False]


def test_generators_that_hold_a_mode_may_end_in_any_order():
    def held(mode):
        with mode:
            yield

    first, second = held(tg.no_grad()), held(tg.enable_grad())
    next(first)
    next(second)
    assert recorded()
    first.close()  # left before what was entered later
    assert recorded()
    second.close()
    assert recorded()
    assert modes._entered.get() is None
    first, second, third = held(tg.no_grad()), held(tg.no_grad()), held(tg.enable_grad())
    for source in (first, second, third):
        next(source)
    second.close()
    assert recorded()  # by the third
    third.close()
    assert not recorded()
    first.close()
    assert recorded()


def test_threads_have_modes_of_their_own():
    seen = {}
    off = tg.no_grad()
    inside, outside = threading.Event(), threading.Event()

    def other():
        inside.wait()
        seen["other"] = recorded()
        with off:  # the same object, at the same time
            seen["other inside"] = recorded()
        seen["other after"] = recorded()
        outside.set()

    thread = threading.Thread(target=other)
    thread.start()
    with off:
        inside.set()
        outside.wait()
        seen["main"] = recorded()
    thread.join()
    assert seen == {"other": True, "other inside": False, "other after": True, "main": False}
    assert recorded()


def test_tasks_have_modes_of_their_own():
    async def off(turn):
        with tg.no_grad():
            await turn.wait()
            return recorded()

    async def on(turn):
        seen = recorded()
        turn.set()
        await asyncio.sleep(0)
        return seen, recorded()

    async def main():
        turn = asyncio.Event()
        return await asyncio.gather(off(turn), on(turn))

    assert asyncio.run(main()) == [False, (True, True)]


def test_modes_decorate_coroutines_and_asynchronous_generators():
    @tg.no_grad()
    async def coroutine():
        before = recorded()
        await asyncio.sleep(0)
        return before, recorded()

    @tg.no_grad()
    async def stream():
        got = None
        for _ in range(2):
            await asyncio.sleep(0)
            got = yield recorded(), got

    async def main():
        other = asyncio.create_task(asyncio.sleep(0, recorded()))
        inside = await coroutine()
        items = []
        async for item in stream():
            items.append((item, recorded()))
        source = stream()
        await anext(source)
        sent = await source.asend("sent")
        await source.aclose()
        return inside, items, sent, await other, recorded()

    off = (False, None)
    assert asyncio.run(main()) == (
        (False, False), [(off, True), (off, True)], (False, "sent"), True, True,
    )  # fmt: skip


def test_a_generator_that_another_task_closes_changes_nothing_there():
    async def held():
        with tg.no_grad():
            yield
            yield

    async def main():
        source = held()
        await asyncio.create_task(anext(source))  # enters in the context of that task
        with tg.enable_grad():
            await source.aclose()
            assert recorded()
        return recorded()

    assert asyncio.run(main())


class Interrupted:
    """A variable whose ``set`` is interrupted once it has been done, the given time."""

    def __init__(self, variable, time):
        self.variable, self.left = variable, time

    def get(self):
        return self.variable.get()

    def set(self, value):
        self.variable.set(value)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["recording", "_inference", "_entered"])
@pytest.mark.parametrize("time", [1, 2], ids=["on the way in", "on the way out"])
@pytest.mark.parametrize("outside", [tg.enable_grad, tg.no_grad, tg.inference_mode])
def test_an_interrupt_leaves_the_mode_as_it_was_outside(name, time, outside, monkeypatch):
    def inside():
        with tg.inference_mode():
            assert time == 2
            assert not tg.is_grad_enabled()

    with outside():
        before = tg.is_grad_enabled(), modes._inference.get(), modes._entered.get()
        with monkeypatch.context() as patch:
            patch.setattr(modes, name, Interrupted(getattr(modes, name), time))
            with pytest.raises(KeyboardInterrupt):
                inside()
        assert (tg.is_grad_enabled(), modes._inference.get(), modes._entered.get()) == before
    assert tg.is_grad_enabled()
