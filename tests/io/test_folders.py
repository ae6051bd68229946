import pytest

from latentct.errors import InputError
from latentct.io.folders import whole_folder


def test_a_folder_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "out"
    with whole_folder(target) as partial:
        (partial / "a").write_text("a")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["a"]
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_an_error_leaves_what_was_there(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(RuntimeError), whole_folder(target, overwrite=True) as partial:
        (partial / "a").write_text("a")
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_overwriting_replaces_the_whole_folder(tmp_path):
    target = tmp_path / "out"
    for name in ("old", "new"):
        with whole_folder(target, overwrite=True) as partial:
            (partial / name).write_text(name)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "new"]


def test_two_runs_into_one_folder_do_not_mix(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(InputError, match="exists already"), whole_folder(target) as first:
        (first / "first").write_text("first")
        with whole_folder(target) as second:
            (second / "second").write_text("second")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "second"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="exists already"), whole_folder(tmp_path / "file"):
        pass
    with pytest.raises(InputError, match="cannot be written"), whole_folder(tmp_path / "file" / "out"):
        pass
