"""Files are whole or not there."""

from pathlib import Path

import pytest

from latentct.io.files import whole_file


def test_file_appears_at_the_end_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with whole_file(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk"), whole_file(path) as partial:
        partial.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
