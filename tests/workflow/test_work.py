"""The work folder: what was done survives an interruption, and nothing else survives."""

import numpy as np
import pytest

from latentct.errors import InputError
from latentct.workflow.work import open_work


def _keep(work, start, stop):
    work.keep(slice(start, stop), {"x_hu": np.full((stop - start, 2, 2), start, np.float32)})


def test_what_was_done_is_there_after_an_interruption(tmp_path):
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), open_work(output, "a") as work:
        _keep(work, 0, 2)
        raise KeyboardInterrupt
    with open_work(output, "a") as work:
        assert work.done(slice(0, 2))
        assert not work.done(slice(2, 4))
        assert (work.part(slice(0, 2))["x_hu"] == 0).all()
    assert list(tmp_path.iterdir()) == []


def test_parts_of_other_input_or_settings_are_dropped(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_work(tmp_path / "out", "a") as work:
        _keep(work, 0, 2)
        raise KeyboardInterrupt
    with open_work(tmp_path / "out", "b") as work:
        assert not work.done(slice(0, 2))


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError("bad"), OSError(28, "No space left on device")])
def test_nothing_is_left_where_nothing_was_done(tmp_path, error):
    with pytest.raises(BaseException), open_work(tmp_path / "out", "a"):  # noqa: B017
        raise error
    assert list(tmp_path.iterdir()) == []


def test_bad_input_leaves_nothing_even_half_way(tmp_path):
    with pytest.raises(InputError), open_work(tmp_path / "out", "a") as work:
        _keep(work, 0, 2)
        raise InputError("bad")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_work_on_one_result(tmp_path):
    with open_work(tmp_path / "out", "a") as work:
        _keep(work, 0, 2)
        with pytest.raises(InputError, match="another process"), open_work(tmp_path / "out", "a"):
            pass
        assert work.done(slice(0, 2))


def test_a_part_that_was_not_finished_does_not_count(tmp_path):
    with open_work(tmp_path / "out", "a") as work:
        with pytest.raises(ValueError, match="bad array"):
            work.keep(slice(0, 2), {"x_hu": _Broken()})
        assert not work.done(slice(0, 2))
        assert not work.any_done()


class _Broken:
    def __array__(self, dtype=None, copy=None):
        raise ValueError("bad array")


def test_a_disk_that_is_full_at_the_start_leaves_nothing(tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("latentct.workflow.work.FileLock.acquire", full)
        with pytest.raises(InputError, match="No space left"), open_work(tmp_path / "out", "a"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), open_work(tmp_path / "file" / "out", "a"):
        pass
