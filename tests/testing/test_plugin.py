"""The pytest plugin: it does what its options say, and nothing for those who use none."""

import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops, testing
from tinygrad_rnn.engine import Node
from tinygrad_rnn.testing.guards import Guard, alive_nodes

ROOT = Path(__file__).resolve().parents[2]

# Each run in a process of its own: what a plugin has imported or set stays.
SETUP = """
import os, sys
import pytest
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs pytest on the text of a test file, with the plugin as an installation offers it."""
    offered = pytester.mkdir("offered-0.dist-info")
    (offered / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 0\n")
    (offered / "entry_points.txt").write_text("[pytest11]\ntinygrad_rnn = _tinygrad_rnn_pytest\n")
    monkeypatch.setenv("PYTHONPATH", f"{pytester.path}:{ROOT}")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # none but those named below
    for name in ("TINYGRAD_PROFILE", "NUMBA_DISABLE_JIT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    def start(text, *options, ini="", plugin=True, conftest=""):
        pytester.makepyfile(SETUP + text)
        if conftest:
            pytester.makeconftest(conftest)
        pytester.makeini(f"[pytest]\naddopts = -p no:cacheprovider --strict-markers\n{ini}")
        loaded = ("-p", "_tinygrad_rnn_pytest") if plugin else ()
        return pytester.run(sys.executable, "-m", "pytest", "-rs", *loaded, *options)

    return start


def test_installed_it_is_found_and_can_be_switched_off(run, monkeypatch):
    text = "def test_it(request): assert request.config.pluginmanager.has_plugin('tinygrad_rnn')"
    run(text, plugin=False).assert_outcomes(failed=1)
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    run(text, plugin=False).assert_outcomes(passed=1)
    off = run("def test_it(tgr_seed): pass", "-p", "no:tinygrad_rnn", plugin=False)
    off.stdout.fnmatch_lines("*fixture 'tgr_seed' not found*")


def test_who_uses_nothing_of_it_loads_nothing(run):
    result = run("""
def test_nothing_is_loaded():
    heavy = {"numpy", "numba", "hypothesis", "tinygrad_rnn", "cupy"}
    assert not heavy & set(sys.modules)
    assert "_tinygrad_rnn_pytest" in sys.modules
""")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("tinygrad-rnn:*")


def test_markers_are_explained(run):
    said = run("", "--markers").stdout
    said.fnmatch_lines(["@pytest.mark.gpu: needs a GPU*", "@pytest.mark.slow: for CI, or where*",
                        "@pytest.mark.nojit: means nothing where*"])  # fmt: skip


# ----- profiles -----

COUNTED = """
from hypothesis import given, settings, strategies as st
from tinygrad_rnn.testing import check_gradients, strategies as gs
calls = []

@given(st.integers())
def test_plain(x):
    calls.append(x)

@settings(max_examples=3)
@given(st.integers())
def test_with_settings_of_its_own(x):
    calls.append(x)

@check_gradients(x=gs.arrays((2,)))
def test_gradients(x):
    calls.append(x)
    return x * 2.0

@pytest.fixture(autouse=True)
def _count(request):
    calls.clear()
    yield
    print(request.node.name, "examples", len(calls), settings.get_current_profile_name())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "ini", "environment", "plain"),
    [
        (["--tgr-profile=ci"], "", None, "50 tinygrad_rnn-ci"),
        (["--tgr-profile=ci", "--tgr-max-examples=7"], "", None, "7 tinygrad_rnn-custom"),
        (["--tgr-max-examples=7"], "", None, "7 tinygrad_rnn-custom"),
        ([], "tgr_profile = dev", None, "20 tinygrad_rnn-dev"),
        ([], "tgr_profile = dev", "ci", "50 tinygrad_rnn-ci"),
        (["--tgr-profile=dev"], "", "ci", "20 tinygrad_rnn-dev"),
    ],
)
def test_a_profile_says_how_many_examples(run, monkeypatch, options, ini, environment, plain):
    if environment:
        monkeypatch.setenv("TINYGRAD_PROFILE", environment)
    result = run(COUNTED, "-s", *options, ini=ini)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([
        f"*test_plain examples {plain}", "*test_with_settings_of_its_own examples 3 *",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("options", "environment", "says"),
    [
        (["--tgr-profile=fast"], None, "*--tgr-profile: invalid choice: 'fast'*"),
        (["--tgr-max-examples=0"], None, "*given '0', expected a whole number from 1."),
        (["--tgr-devices=cuda"], None, "*given 'cuda', expected cpu, gpu or gpu:N*"),
        (["--tgr-seed=x"], None, "*given 'x', expected a whole number or 'random'."),
        ([], "fast", "*TINYGRAD_PROFILE is 'fast', expected one of dev, ci, nightly, debug."),
    ],
)
def test_a_wrong_option_says_what_was_expected(run, monkeypatch, options, environment, says):
    if environment:
        monkeypatch.setenv("TINYGRAD_PROFILE", environment)
    result = run("def test_it(): pass", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(says)


def test_the_profile_debug_finds_where_a_nan_is_made(run):
    text = """
import tinygrad_rnn as tg
from tinygrad_rnn import ops

def test_it():
    ops.log(tg.zeros(2) - 1)
"""
    run(text, "--tgr-profile=dev").assert_outcomes(passed=1)
    result = run(text, "--tgr-profile=debug")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*GradientError: log: made nan at*")


def test_without_hypothesis_a_profile_says_how_to_install_it(run):
    conftest = "import sys; sys.modules['hypothesis'] = None"
    result = run("def test_it(): pass", "--tgr-profile=ci", conftest=conftest)
    result.stderr.fnmatch_lines("*set_profile needs Hypothesis. Install it with: pip install*")
    run("def test_it(): pass", conftest=conftest).assert_outcomes(passed=1)


def test_set_profile_refuses_other_names_and_keeps_what_is_set():
    with pytest.raises(ValueError, match="name is 'fast', expected one of dev, ci, nightly"):
        testing.set_profile("fast")
    before = hypothesis.settings.get_current_profile_name()
    try:
        testing.set_profile("nightly", max_examples=3)
        assert hypothesis.settings().max_examples == 3
        assert not hypothesis.settings().derandomize
    finally:
        hypothesis.settings.load_profile(before)


# ----- fixtures -----


def test_devices_that_are_not_there_are_skipped_with_the_reason(run):
    text = "def test_it(device): assert device == 'cpu'"
    run(text).assert_outcomes(passed=1)
    both = run(text, "--tgr-devices=cpu,gpu:7")
    both.assert_outcomes(passed=1, skipped=1)
    both.stdout.fnmatch_lines(["*devices cpu, gpu:7*", "SKIPPED * gpu*"])
    run(text, "--tgr-devices=cpu,gpu:7", "-m", "not gpu").assert_outcomes(passed=1, deselected=1)


STANDIN = """
import pytest
from tests.standin import installed

@pytest.fixture(scope="session", autouse=True)
def stood_in():
    with installed(devices=2):
        yield
"""


def test_devices_that_are_there_run_and_are_compared(run):
    text = """
import numpy as np
import tinygrad_rnn as tg
from hypothesis import HealthCheck, settings
from tinygrad_rnn.testing import check_gradients, strategies as gs

QUICK = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))

def test_it(device):
    assert (tg.zeros(2) + 1).to(device).device == {"gpu": "gpu:0"}.get(device, device)

@check_gradients(x=gs.arrays((2, 3)), devices=("cpu", "gpu:1"), settings=QUICK)
def test_compared(x):
    return tg.ops.tanh(x).sum(-1)

def test_differ():
    @check_gradients(x=gs.arrays((2,)), devices=("cpu", "gpu"), settings=QUICK)
    def check(x):
        return x * (2.0 if x.device == "cpu" else 2.001) + 1.0
    with pytest.raises(AssertionError, match="on cpu and gpu differ"):
        check()
"""
    run(text, "--tgr-devices=cpu,gpu,gpu:1", conftest=STANDIN).assert_outcomes(passed=5)


def test_a_fixture_of_the_same_name_is_left_alone(run):
    run(
        """
@pytest.fixture
def device():
    return "mine"

def test_it(device): assert device == "mine"
""",
        "--tgr-devices=cpu,gpu",
    ).assert_outcomes(passed=1)


def test_both_implementations_compute(run):
    text = """
import tinygrad_rnn as tg
from tinygrad_rnn.kernels._twin import twin

def test_it(implementation):
    module = twin("tinygrad_rnn.kernels.matmul", tg.ones(2).numpy()).__name__
    assert module.endswith({"reference": "reference", "numba": "cpu"}[implementation])
"""
    run(text).assert_outcomes(passed=2)
    without = run(text, "--tgr-no-jit")
    without.assert_outcomes(passed=1, skipped=1)
    without.stdout.fnmatch_lines("SKIPPED *Numba compiles nothing*")


def test_a_seed_is_where_the_random_stream_starts(run):
    text = """
import tinygrad_rnn as tg

@pytest.mark.parametrize("again", [0, 1])
def test_it(tgr_seed, again):
    print("seed", tgr_seed, tg.rand(1).item())
"""

    def drawn(*options):
        lines = run(text, "-s", *options).outlines
        return {line[line.index("seed ") :] for line in lines if "seed " in line and "0." in line}

    tg.seed(5)
    assert drawn("--tgr-seed=5") == {f"seed 5 {tg.rand(1).item()}"}
    first, second = drawn("--tgr-seed=random"), drawn("--tgr-seed=random")
    assert len(first) == len(second) == 1
    assert first != second


def test_warming_up_compiles_nothing_without_the_compiler(run):
    run(
        """
def test_it(tgr_warm_kernels): assert "numba" not in sys.modules
""",
        "--tgr-no-jit",
    ).assert_outcomes(passed=1)


def test_warming_up_makes_the_kernels_ready_once(run):
    conftest = """
import tinygrad_rnn.warmup
asked = []
tinygrad_rnn.warmup.warm_up = lambda dtypes: asked.append(dtypes) or []
"""
    run(
        """
@pytest.mark.parametrize("again", [0, 1])
def test_it(tgr_warm_kernels, again):
    import conftest
    assert conftest.asked == [("float32", "float64")]
""",
        conftest=conftest,
    ).assert_outcomes(passed=2)


# ----- without the compiler -----


def test_no_jit_reaches_numba_before_it_is_imported(run):
    text = "def test_it():\n    import numba\n    assert numba.config.DISABLE_JIT"
    run(text, "--tgr-no-jit", conftest="import numba").assert_outcomes(passed=1)


def test_no_jit_that_comes_too_late_says_so(run):
    result = run(
        "def test_it(): pass", "--tgr-no-jit", plugin=False,
        conftest="import numba\npytest_plugins = ['_tinygrad_rnn_pytest']",
    )  # fmt: skip
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*--tgr-no-jit comes too late: Numba has been imported*")


def test_markers_skip_only_where_the_configuration_asks(run):
    text = """
@pytest.mark.gpu
def test_gpu(): pass

@pytest.mark.nojit
def test_nojit(): pass
"""
    run(text).assert_outcomes(passed=2)
    asked = run(text, "-k", "nojit", ini="tgr_markers = true")
    asked.assert_outcomes(skipped=1, deselected=1)
    asked.stdout.fnmatch_lines("SKIPPED *kernels are compiled; run it with --tgr-no-jit")
    run(text, "-k", "nojit", "--tgr-no-jit", ini="tgr_markers = true").assert_outcomes(
        passed=1, deselected=1
    )


# ----- guards -----

LEAKING = """
import tinygrad_rnn as tg
kept = []

def test_grad_mode(): tg.no_grad().__enter__()
def test_inference(): tg.inference_mode().__enter__()
def test_threads(): tg.set_num_threads(tg.num_threads() + 1)
def test_graph(): kept.append(tg.ones(2, requires_grad=True) * 2)

def test_nothing_is_left():
    assert tg.is_grad_enabled()
    x = tg.ones(2, requires_grad=True) * 2
    with pytest.raises(AssertionError) as caught:
        assert not x.requires_grad

@pytest.fixture
def graph(): return tg.ones(2, requires_grad=True) * 2

@pytest.fixture(scope="session")
def shared(): return tg.ones(2, requires_grad=True) * 2

def test_fixtures_may_hold_graphs(graph, shared): tg.randn(3)
def test_a_failure_says_nothing_more(): y = tg.ones(2, requires_grad=True) * 2; assert 0
"""


@pytest.mark.parametrize("how", ["option", "ini", "not"])
def test_guards_fail_tests_that_leave_something_behind(run, how):
    result = run(
        LEAKING, *["--tgr-guards"] * (how == "option"), "-rE",
        ini="tgr_guards = true" * (how == "ini"),
    )  # fmt: skip
    if how == "not":
        result.assert_outcomes(passed=5, failed=2)  # one finds recording switched off
        return
    result.assert_outcomes(passed=6, failed=1, errors=4)
    result.stdout.fnmatch_lines([
        "test_grad_mode leaves something behind: recording is off: no_grad() or *",
        "test_inference leaves something behind: *inference_mode() was entered and not left.",
        "test_threads leaves something behind: kernels use * threads, before it was *",
        "test_graph leaves something behind: 1 operations of recorded graphs are still alive*",
    ])  # fmt: skip


def test_every_test_starts_from_the_same_stream_under_guards(run):
    run(
        """
import tinygrad_rnn as tg
seen = []

@pytest.mark.parametrize("again", [0, 1])
def test_it(again):
    seen.append(tg.rand(1).item())
    assert len(set(seen)) == 1
""",
        "--tgr-guards",
    ).assert_outcomes(passed=2)


def test_nodes_are_counted_one_by_one():
    before = alive_nodes()
    x = tg.ones(2, requires_grad=True)
    y = ops.tanh(x) * 2
    assert alive_nodes() == before + 2
    aliases = [Node] * 5  # references to the class that are no nodes
    assert alive_nodes() == before + 2
    del y, aliases
    assert alive_nodes() == before


def test_a_guard_puts_everything_back():
    guard, state = Guard(), tg.random.get_state()
    threads = tg.num_threads()
    tg.no_grad().__enter__()
    tg.set_num_threads(threads + 1)
    tg.seed(9)
    assert len(guard.leaks()) == 2
    assert tg.is_grad_enabled()
    assert tg.num_threads() == threads
    assert str(tg.random.get_state()) == str(state)


def test_the_plugin_alone_imports_neither_numpy_nor_the_library():
    code = (
        "import sys, _tinygrad_rnn_pytest;"
        "sys.exit(bool({'numpy', 'tinygrad_rnn', 'hypothesis'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)
