"""Reading: a file or the files of a folder, and clear words for what is no text."""

import pytest

from tinygrad_rnn import text
from tinygrad_rnn.errors import ArgumentError, FileFormatError


def test_a_file_is_read_as_it_is(tmp_path):
    (tmp_path / "a.txt").write_bytes("Zeile\r\nnoch é\rEnde".encode("utf-8-sig"))
    assert text.read(tmp_path / "a.txt") == "Zeile\nnoch é\nEnde"
    assert text.read(str(tmp_path / "a.txt")) == "Zeile\nnoch é\nEnde"


def test_the_files_of_a_folder_in_order_each_with_an_end_of_line(tmp_path):
    (tmp_path / "b").mkdir()
    for name, content in {"c.txt": "c\n", "b/x.txt": "x", "a.txt": "", "z.md": "z"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / ".hidden").write_bytes(b"\xff")
    assert text.read(tmp_path) == "x\nc\nz\n"
    assert text.read(tmp_path, "*.txt") == "x\nc\n"
    assert text.read(tmp_path, "z*") == "z"


def test_what_is_not_utf_8_is_named_with_its_byte(tmp_path):
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9 au lait")
    for path in (file, tmp_path):
        with pytest.raises(FileFormatError) as caught:
            text.read(path)
        assert str(caught.value) == (
            f"text.read: {str(file)!r} is not UTF-8: byte 0xe9 at 3. Save it as UTF-8, or leave "
            "it out by the argument pattern."
        )


def test_an_empty_file_and_a_folder_of_nothing_but_such(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(FileFormatError, match="the file is empty"):
        text.read(tmp_path / "a.txt")
    with pytest.raises(FileFormatError, match=r"all files in it that match '\*' are empty"):
        text.read(tmp_path)


def test_one_character_is_a_text(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    assert text.read(tmp_path / "a.txt") == "x"


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder '.*nowhere'"):
        text.read(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no file in the folder .* matches '\*.txt'"):
        text.read(tmp_path, "*.txt")


@pytest.mark.parametrize("pattern", ["/etc/*", 3])
def test_what_is_no_pattern_or_path(tmp_path, pattern):
    with pytest.raises(ArgumentError, match="expected one of names"):
        text.read(tmp_path, pattern)
    with pytest.raises(ArgumentError, match="path is 3"):
        text.read(3)
