"""A folder holds one run, which goes on where the same is asked for."""

import pytest

from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.training import RunFolder

SETTINGS = {"rate": 0.1, "files": ["a", "b"], "cell": "GRU"}


def test_a_run_goes_on_until_it_is_over(tmp_path):
    first = RunFolder(tmp_path / "run", SETTINGS)
    assert (first.resumes, first.settings) == (False, SETTINGS)
    assert not first.path.exists()  # nothing is written before it begins
    first.begin()
    again = RunFolder(first.path, SETTINGS | {"files": ("a", "b")})
    assert again.resumes
    again.begin()
    again.finish()
    assert not RunFolder(first.path, SETTINGS).resumes
    assert RunFolder(first.path, SETTINGS, resume=True).resumes  # with no step left


def test_other_settings_have_to_say_what_is_meant(tmp_path):
    RunFolder(tmp_path, SETTINGS).begin()
    (tmp_path / "checkpoints").mkdir()
    other = {**SETTINGS, "rate": 0.2}
    with pytest.raises(
        ArgumentError, match=r"other arguments: rate was 0.1, is 0.2\. Expected resume"
    ):
        RunFolder(tmp_path, other)
    with pytest.raises(ArgumentError, match=r"cell was 'GRU', is not among them; tied was not amo"):
        RunFolder(tmp_path, {"rate": 0.1, "files": ["a", "b"], "tied": None})
    with pytest.raises(ArgumentError, match=r"d was not among them, is 4; 1 more\. Expected"):
        RunFolder(tmp_path, {**SETTINGS, "b": 2, "c": 3, "d": 4, "e": 5})
    resumed = RunFolder(tmp_path, other, resume=True)
    assert (resumed.resumes, resumed.settings) == (True, SETTINGS)
    resumed.begin()
    assert (tmp_path / "checkpoints").exists()
    anew = RunFolder(tmp_path, other, anew=True)
    assert (anew.resumes, anew.settings) == (False, other)
    anew.begin()
    assert not (tmp_path / "checkpoints").exists()
    assert RunFolder(tmp_path, other).resumes


def test_arguments_of_a_program_may_be_given_as_they_are(tmp_path):
    for resume, anew, resumes in (
        (False, True, False),
        (False, False, True),
        (True, False, True),
    ):
        given = SETTINGS | {"resume": resume, "anew": anew}
        run = RunFolder(tmp_path, given, resume=resume, anew=anew)
        assert (run.resumes, run.settings) == (resumes, SETTINGS)
        run.begin()


def test_there_is_nothing_to_resume(tmp_path):
    with pytest.raises(ArgumentError, match=r"there is no run in '.*' to resume"):
        RunFolder(tmp_path, SETTINGS, resume=True)


def test_what_is_resumed_does_not_begin_anew(tmp_path):
    RunFolder(tmp_path, SETTINGS).begin()
    with pytest.raises(ArgumentError, match="both resume and anew, expected one of them"):
        RunFolder(tmp_path, SETTINGS, resume=True, anew=True)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"run": 1}', b"\xff"])
def test_settings_that_are_damaged(tmp_path, content):
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(ArgumentError, match=r"settings.json' is damaged"):
        RunFolder(tmp_path, SETTINGS)
    RunFolder(tmp_path, SETTINGS, anew=True).begin()
    assert RunFolder(tmp_path, SETTINGS).resumes
