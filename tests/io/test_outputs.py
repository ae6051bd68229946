import shutil
from pathlib import Path

import pytest

from latentct.errors import InputError
from latentct.io.outputs import check_output, whole_output


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_appears_with_what_is_beside_it(tmp_path):
    output = tmp_path / "deep" / "scan.npy"
    with whole_output(output) as partial:
        partial.write_text("y")
        partial.with_suffix(".yaml").write_text("geometry")
        assert partial.name == "scan.npy"
        assert not output.exists()
    assert names(tmp_path) == ["deep", "deep/scan.npy", "deep/scan.yaml"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_what_was_there(tmp_path, error):
    output = tmp_path / "scan.npy"
    output.write_text("old")
    with pytest.raises(error), whole_output(output, overwrite=True) as partial:
        partial.write_text("new")
        raise error
    assert names(tmp_path) == ["scan.npy"] and output.read_text() == "old"


def test_overwriting_replaces_the_whole_folder_but_never_one_by_a_file(tmp_path):
    output = tmp_path / "out"
    for name in ("old", "new"):
        with whole_output(output, overwrite=True) as partial:
            partial.mkdir()
            (partial / name).write_text(name)
    assert names(tmp_path) == ["out", "out/new"]
    refusal = pytest.raises(InputError, match="is a folder and is not replaced by a file")
    with refusal, whole_output(output, overwrite=True) as partial:
        partial.write_text("file")
    assert names(tmp_path) == ["out", "out/new"]


def test_a_folder_comes_back_where_the_new_one_cannot_be_moved(tmp_path, monkeypatch):
    output = tmp_path / "out"
    output.mkdir()
    (output / "old").write_text("old")
    rename = Path.rename

    def fail(self, target):
        if self.parent.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    with pytest.raises(KeyboardInterrupt), whole_output(output, overwrite=True) as partial:
        partial.mkdir()
        monkeypatch.setattr(Path, "rename", fail)
    assert names(tmp_path) == ["out", "out/old"]


def test_folders_that_were_made_for_nothing_go(tmp_path):
    with pytest.raises(KeyboardInterrupt), whole_output(tmp_path / "deep" / "er" / "out"):
        raise KeyboardInterrupt
    with pytest.raises(InputError, match="cannot be written"), whole_output(tmp_path / "deep" / ("x" * 300)):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_a_place_without_a_name_is_refused(name):
    with pytest.raises(InputError, match="no name of its own"):
        check_output(Path(name), overwrite=True)


def test_nothing_is_replaced_unasked(tmp_path):
    output = tmp_path / "scan.npy"
    output.with_suffix(".yaml").write_text("old")
    refusal = pytest.raises(InputError, match=r"scan.yaml exists already; choose .* \(--overwrite\)")
    with refusal, whole_output(output) as partial:
        partial.write_text("y")
        partial.with_suffix(".yaml").write_text("geometry")
    assert names(tmp_path) == ["scan.yaml"] and output.with_suffix(".yaml").read_text() == "old"
    output.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="exists already"), whole_output(output):
        pass


def test_of_two_runs_the_first_to_finish_wins(tmp_path):
    output = tmp_path / "out"
    with pytest.raises(InputError, match="exists already"), whole_output(output) as first:
        first.write_text("first")
        with whole_output(output) as second:
            second.write_text("second")
    assert names(tmp_path) == ["out"] and output.read_text() == "second"


def test_a_disk_that_is_full_and_a_place_that_is_none_are_said(tmp_path):
    with pytest.raises(InputError, match=r"cannot be written.*No space left"), whole_output(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), whole_output(tmp_path / "file" / "out"):
        pass
    assert names(tmp_path) == ["file"]


def test_the_input_is_not_touched(tmp_path):
    source = tmp_path / "series"
    source.mkdir()
    (tmp_path / "link").symlink_to(source)
    for output in (source, source / "out", tmp_path, tmp_path / "link" / "out"):
        with pytest.raises(InputError, match="must stay as it is"):
            check_output(output, source, overwrite=True)
    check_output(tmp_path / "out", source)
    with pytest.raises(InputError, match="exists already"):
        check_output(source, tmp_path / "other")


def test_two_runs_into_one_folder_do_not_mix(tmp_path):
    output = tmp_path / "out"
    with pytest.raises(InputError, match="exists already"), whole_output(output) as first:
        first.mkdir()
        (first / "first").write_text("first")
        with whole_output(output) as second:
            second.mkdir()
            (second / "second").write_text("second")
    assert names(tmp_path) == ["out", "out/second"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="exists already"), whole_output(tmp_path / "file"):
        pass
    with pytest.raises(InputError, match="cannot be written"), whole_output(tmp_path / "file" / "out"):
        pass


def test_an_impatient_user_leaves_nothing_either(tmp_path, monkeypatch):
    """A second Ctrl-C, while what the first one stopped is removed."""
    removed, presses = shutil.rmtree, iter([KeyboardInterrupt, KeyboardInterrupt])

    def interrupted(folder, **options):
        if press := next(presses, None):
            raise press
        removed(folder, **options)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_output(tmp_path / "result") as partial:
        partial.mkdir()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
