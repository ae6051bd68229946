"""The command line, in this process."""

import pytest

from latentct.cli.main import main


@pytest.fixture
def latentct(monkeypatch, capsys):
    """Runs `latentct` and returns its exit code, what it printed and its errors."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["latentct", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return run
