import subprocess
import sys

import pytest
from typer.testing import CliRunner

from latentct.cli.main import app, main
from latentct.errors import InputError

from .. import checks

NAMES = [bundle.name for bundle in checks.bundle_folders()]


def check(*words):
    return CliRunner().invoke(app, ["bundles", "check", *map(str, words)])


def test_all_bundles_of_the_project_are_well(monkeypatch):
    monkeypatch.chdir(checks.ROOT)
    result = check()
    assert (result.exit_code, result.stdout) == (0, "".join(f"{name}: ok\n" for name in NAMES))


def test_faults_are_lines_and_the_exit_code_is_2(tmp_path):
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    (tmp_path / "mine" / "configs" / "train.yaml").write_text("rate: 1e-4\n")
    result = check(checks.ROOT / "bundles" / "lsr_metal", tmp_path / "mine")
    assert result.exit_code == 2
    lines = result.stdout.splitlines()
    assert lines[0] == "lsr_metal: ok"
    assert "mine: LICENSE: is missing or empty; every bundle has this file." in lines
    assert [line for line in lines if line.startswith("mine: configs/train.yaml: rate: '1e-4' is text")]


def test_a_folder_that_is_not_there_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["latentct", "bundles", "check", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "none is no folder; give a bundle's" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"there is no bundle in \./bundles"):
        CliRunner().invoke(app, ["bundles", "check"], catch_exceptions=False)


def test_checking_needs_neither_monai_nor_torch():
    code = (
        "import sys; from latentct.cli.main import main; sys.argv = ['latentct', 'bundles', 'check']\n"
        "try:\n    main()\nfinally:\n    print(sorted(set(sys.modules) & {'monai', 'torch', 'numpy', 'mlflow'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=checks.ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [*(f"{name}: ok" for name in NAMES), "[]"]


def test_a_copy_is_staged_and_says_its_weights(tmp_path):
    words = ["bundles", "stage", str(checks.ROOT / "bundles" / "lsr_metal"), str(tmp_path / "copy")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    first, *weights = result.stdout.splitlines()
    assert first == f"lsr_metal 0.1.0 in {tmp_path / 'copy'}"
    assert [line.split()[0] for line in weights] == ["completion.pt", "model.pt", "unet.pt"]
    assert (tmp_path / "copy" / "models" / "model.pt").is_file()
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, InputError)
