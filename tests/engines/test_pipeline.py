"""Stages in order: which run, which go on and which are left, with configurations that only note what they are told."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from latentct.engines import run_stages
from latentct.errors import InputError

STAGE = """
imports:
- "$from pathlib import Path"
bundle_root: .
output_dir: out
seed: 0
note: plain
resume: false
overwrite: false
export_path: "$@output_dir + '/NAME.pt'"
ckpt_dir: "$@output_dir + '/NAME'"
text: "$' '.join(['NAME', str(@seed), @note, 'resume=' + str(@resume), 'overwrite=' + str(@overwrite)]) + chr(10)"
run:
- "$Path(@output_dir, 'log.txt').open('a').write(@text)"
- "$Path(@export_path).write_text('weights')"
training_NAME: "%run"
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "configs").mkdir(parents=True)
    for name in ("first", "second"):
        (folder / "configs" / f"train_{name}.yaml").write_text(STAGE.replace("NAME", name))
    (folder / "configs" / "layer.yaml").write_text('"+layers": [layer]\nnote: layered\n')
    (folder / "configs" / "metadata.json").write_text('{"version": "0.1.0"}')
    (tmp_path / "out").mkdir()
    return folder


def run(bundle: Path, *layers: str, **options) -> list[str]:
    """Run both stages and return what they noted."""
    output_dir = bundle.parent / "out"
    (output_dir / "log.txt").unlink(missing_ok=True)
    run_stages(bundle, ["first", "second"], layers, output_dir=str(output_dir), **options)
    log = output_dir / "log.txt"
    return log.read_text().splitlines() if log.exists() else []


def put(path: Path, seconds_later: float) -> None:
    """Leave a file that is so much newer than the first stage's weights."""
    path.parent.mkdir(exist_ok=True)
    path.touch()
    time = (path.parents[1] / "first.pt").stat().st_mtime + seconds_later
    os.utime(path, (time, time))


def test_stages_run_in_order_with_options_and_layers(bundle):
    assert run(bundle, "layer", seed=7, run_name=None) == [
        "first 7 layered resume=False overwrite=True",
        "second 7 layered resume=False overwrite=True",
    ]


def test_what_is_done_is_left_and_what_was_started_goes_on(bundle):
    run(bundle)
    assert run(bundle) == []
    (bundle.parent / "out" / "second.pt").unlink()
    put(bundle.parent / "out" / "second" / "last.pt", 5.0)
    assert run(bundle) == ["second 0 plain resume=True overwrite=False"]


def test_a_checkpoint_made_with_other_weights_is_not_gone_on_with(bundle):
    run(bundle)
    (bundle.parent / "out" / "second.pt").unlink()
    put(bundle.parent / "out" / "second" / "last.pt", -5.0)
    assert run(bundle) == ["second 0 plain resume=False overwrite=True"]


def test_weights_older_than_those_they_build_on_are_made_anew(bundle):
    run(bundle)
    time = (bundle.parent / "out" / "second.pt").stat().st_mtime + 5
    os.utime(bundle.parent / "out" / "first.pt", (time, time))
    assert run(bundle) == ["second 0 plain resume=False overwrite=True"]


def test_overwriting_starts_every_stage_anew(bundle):
    run(bundle)
    assert len(run(bundle, overwrite=True)) == 2


def test_a_layer_that_is_not_there_is_refused(bundle):
    with pytest.raises(InputError, match=r"absent\.yaml does not exist"):
        run(bundle, "absent")


def test_stages_run_inside_what_tracks_them(bundle):
    noted: list[str] = []

    @contextmanager
    def tracked():
        noted.append("begin")
        try:
            yield
        except InputError:
            noted.append("failed")
            raise
        noted.append("end")

    run(bundle, tracked=tracked())
    assert noted == ["begin", "end"]
    with pytest.raises(InputError):
        run(bundle, "absent", tracked=tracked())
    assert noted[2:] == ["begin", "failed"]
