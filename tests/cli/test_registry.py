"""What `register`, `promote` and `rollback` print, pass on and exit with; tests/tracking has the work itself."""

from pathlib import Path
from typing import Any

import pytest

from latentct.cli.main import main
from latentct.errors import InputError
from latentct.tracking import promotion, registry, versions
from latentct.tracking.promotion_rule import Line, Rule

RULE = Rule("lsr", "rmse_hu", "body", "lower", 0.95, "a", "adt", {}, {"a": {}, "b": {}})


@pytest.fixture
def latentct(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a command and returns its exit code and what it printed to stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["latentct", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return (stop.value.code or 0, *capsys.readouterr())

    return run


class Recorder:
    """Stands for a function of `latentct.tracking`: keeps how it was called, and returns or raises what it is given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.called_with: tuple[Any, ...] = ()

    def __call__(self, *arguments: Any) -> Any:
        self.called_with = arguments
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def promoted(second_holds: bool, forced: bool = False) -> promotion.Promotion:
    lines = [
        Line("a", 30.0, 40.0, -10.0, (-12.0, -8.0), 12, 0, "wholly below 0 (decides)", True),
        Line("b", 44.0, 40.0, 4.0, (3.0, 5.0), 12, 0, "not wholly above 0", second_holds),
    ]
    runs = {"a.challenger": "run1", "a.champion": "run2"}
    return promotion.Promotion("prior", "2", "champion", "version 1", RULE, lines, runs, "run0", forced)


def test_register_prints_the_version_and_how_to_serve_it(latentct, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Recorder(registry.RegisteredVersion("prior", "3", "run0", "run9", None))
    monkeypatch.setattr(registry, "register", call)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@host/db")
    code, out, _ = latentct("register", "bundles/prior", "--evaluation", "run9", "--weights", "w.pt", "--name", "prior")
    assert code == 0
    assert call.called_with == (Path("bundles/prior"), "run9", Path("w.pt"), "prior")
    assert "prior version 3, registered by run run0, evaluated by run run9" in out
    assert out.splitlines()[-1] == 'mlflow models serve -m "models:/prior/3" --env-manager local'
    assert "secret" not in out


def test_register_takes_name_and_weights_from_the_bundle(latentct, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Recorder(registry.RegisteredVersion("prior", "3", "run0", "run9", None))
    monkeypatch.setattr(registry, "register", call)
    latentct("register", "bundles/prior", "--evaluation", "run9")
    assert call.called_with == (Path("bundles/prior"), "run9", None, None)


def test_register_needs_an_evaluation(latentct) -> None:
    code, _, err = latentct("register", "bundles/prior")
    assert code == 2
    assert "--evaluation" in err


def test_promote_passes_overrides_on_and_says_what_is_served(latentct, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Recorder(promoted(second_holds=True))
    monkeypatch.setattr(promotion, "promote", call)
    code, out, _ = latentct("promote", "prior", "2", "--alias", "champion", "--limit", "3", "--rounds", "[2,3]")
    assert code == 0
    overrides = {"limit": 3, "rounds": [2, 3]}
    assert call.called_with == ("prior", "2", "champion", Path("mlflow/promotion.yaml"), overrides, False)
    assert "'champion' of prior now names version 2; run run0" in out
    assert "a.challenger: run run1" in out
    assert 'mlflow models serve -m "models:/prior@champion" --env-manager local' in out


def test_a_refused_promotion_shows_which_line_failed(latentct, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion, "promote", Recorder(promoted(second_holds=False)))
    code, out, err = latentct("promote", "prior", "2", "--alias", "champion")
    assert code == 1
    (row,) = [line for line in out.splitlines() if line.startswith("b ")]
    assert row.split()[-1] == "NO"
    assert "+4 [+3, +5]" in row
    assert "not wholly above 0" in row
    assert "refused: 'champion' stays as it was; run run0" in err


def test_a_forced_promotion_says_so(latentct, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Recorder(promoted(second_holds=False, forced=True))
    monkeypatch.setattr(promotion, "promote", call)
    code, out, _ = latentct("promote", "prior", "2", "--alias", "champion", "--force", "--rules", "r.yaml")
    assert code == 0
    assert call.called_with[3:] == (Path("r.yaml"), {}, True)
    assert "now names version 2 in spite of the rule" in out


def test_rollback_prints_where_the_alias_went(latentct, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    call = Recorder(versions.Rollback("prior", "champion", left="2", version="1"))
    monkeypatch.setattr(versions, "rollback", call)
    code, out, _ = latentct("rollback", "prior")
    assert (code, call.called_with) == (0, ("prior", "champion"))
    assert "'champion' of prior now names version 1, not 2" in out
    serving = 'mlflow/mlruns.db mlflow models serve -m "models:/prior@champion" --env-manager local'
    assert out.splitlines()[-1].startswith("MLFLOW_TRACKING_URI=sqlite:///")
    assert out.splitlines()[-1].endswith(serving)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (registry, ("register", "bundles/prior", "--evaluation", "run9")),
        (promotion, ("promote", "prior", "2", "--alias", "champion")),
        (versions, ("rollback", "prior")),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    latentct, monkeypatch: pytest.MonkeyPatch, module: Any, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(module, arguments[0], Recorder(InputError("no such thing; give another.")))
    assert latentct(*arguments) == (2, "", "latentct: no such thing; give another.\n")
