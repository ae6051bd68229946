import pytest

from latentct import __version__
from latentct.cli.main import main


def _run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["latentct", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code or 0


def test_version(monkeypatch, capsys):
    assert _run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"latentct {__version__}\n"


def test_help_lists_the_commands(monkeypatch, capsys):
    assert _run(monkeypatch, "--help") == 0
    out = capsys.readouterr().out
    assert "manifest" in out and "run" in out


def test_bad_input_is_one_line_and_code_2(monkeypatch, capsys, tmp_path):
    assert _run(monkeypatch, "manifest", "check", str(tmp_path / "none.json")) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("latentct: manifest ") and captured.err.count("\n") == 1
