import json

import pytest

from latentct.bundle.configs import config_files
from latentct.bundle.overrides import parse_overrides
from latentct.cli.main import main
from latentct.errors import InputError, root_cause

TRAIN = """
imports:
- "$import pathlib"
bundle_root: .
output_dir: "$@bundle_root + '/eval'"
epochs: 1
network_def:
  channels: [8, 16]
said: "$' '.join([@bundle_root, str(@epochs), str(@network_def::channels[0]), @mode])"
mode: training
run:
- "$pathlib.Path(@output_dir).mkdir(exist_ok=True)"
- "$pathlib.Path(@output_dir, 'said.txt').write_text(@said)"
training: "%run"
"""
EVALUATE = 'mode: evaluating\nevaluating: "%run"\n'
INFERENCE = """
manifest: none.json
imports: ["$from latentct.io.manifest import load_manifest"]
inference:
- "$load_manifest(@manifest)"
"""


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    (folder / "configs").mkdir(parents=True)
    for name, text in {"train": TRAIN, "evaluate": EVALUATE, "smoke": "epochs: 3\n", "inference": INFERENCE}.items():
        (folder / "configs" / f"{name}.yaml").write_text(text)
    (folder / "configs" / "metadata.json").write_text(json.dumps({"version": "0.1.0"}))
    return folder


@pytest.fixture
def latentct_run(monkeypatch, capsys):
    """Runs `latentct run` and returns its exit code and errors; a run that passes returns code 0."""

    def run(*arguments) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["latentct", "run", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("latentct:")]
        return stop.value.code or 0, "\n".join(errors)

    return run


def test_overrides_are_read_as_monai_reads_them():
    arguments = ["--a", "1", "--b=2.0e-3", "--c::d", "[1,2]", "--e", "text", "--flag", "--g", "$@a", "--h", "-1"]
    assert parse_overrides(arguments) == {
        "a": 1, "b": 0.002, "c::d": [1, 2], "e": "text", "flag": True, "g": "$@a", "h": -1,
    }  # fmt: skip


@pytest.mark.parametrize("arguments", [["a"], ["-a", "1"], ["--", "x"], ["--a", "1", "2"]])
def test_arguments_that_are_no_override_are_refused(arguments):
    with pytest.raises(InputError, match="overrides are written --key value"):
        parse_overrides(arguments)


@pytest.mark.parametrize("key", ["bundle_root", "config_file", "run_id"])
def test_what_the_command_sets_cannot_be_overridden(key):
    with pytest.raises(InputError, match=f"--{key} cannot be overridden"):
        parse_overrides([f"--{key}", "x"])


def test_config_files_of_each_run(bundle):
    def names(run_id, layers=()):
        return [file.name for file in config_files(bundle, run_id, list(layers))]

    assert names("training") == ["train.yaml"]
    assert names("training", ["smoke"]) == ["train.yaml", "smoke.yaml"]
    assert names("evaluating") == ["train.yaml", "evaluate.yaml"]
    assert names("inference") == ["inference.yaml"]
    with pytest.raises(InputError, match=r"did you mean 'training'\?"):
        names("trainig")
    with pytest.raises(InputError, match=r"multi\.yaml does not exist .*evaluate, inference, smoke, train"):
        names("training", ["multi"])
    (bundle / "configs" / "train_autoencoder.yaml").write_text("")
    assert names("training") == ["train.yaml"]
    assert names("evaluating") == ["train_autoencoder.yaml", "evaluate.yaml"]


def test_root_cause_prefers_bad_input_and_follows_explicit_causes():
    try:
        try:
            try:
                raise KeyError("deepest")
            except KeyError as error:
                raise InputError("the sentence") from error
        except InputError as error:
            raise RuntimeError("wrapper") from error
    except RuntimeError as error:
        assert str(root_cause(error)) == "the sentence"
    outer = RuntimeError("outer")
    outer.__cause__ = ValueError("inner")
    assert str(root_cause(outer)) == "inner"


def test_a_run_layers_its_configs_and_overrides(bundle, latentct_run):
    overrides = ("--network_def::channels", "[5,6]")
    assert latentct_run(bundle, "evaluating", "--layer", "smoke", *overrides) == (0, "")
    assert (bundle / "eval" / "said.txt").read_text() == f"{bundle} 3 5 evaluating"
    assert latentct_run(bundle, "training", "--epochs", "7")[0] == 0
    assert (bundle / "eval" / "said.txt").read_text() == f"{bundle} 7 8 training"


@pytest.mark.parametrize(
    ("key", "nearest"), [("epohcs", "epochs"), ("network_def#chanels", "network_def::channels"), ("zzz", None)]
)
def test_an_unknown_key_is_refused_before_anything_runs(bundle, latentct_run, key, nearest):
    code, err = latentct_run(bundle, "training", f"--{key}", "99")
    assert code == 2
    assert f"override --{key} is no key of train.yaml" in err
    assert ("did you mean" not in err) if nearest is None else (f"did you mean '{nearest}'?" in err)
    assert not (bundle / "eval").exists()


def test_bad_input_inside_a_run_is_its_sentence_and_code_2(bundle, latentct_run):
    code, err = latentct_run(bundle, "inference")
    assert (code, err.count("\n")) == (2, 0)
    assert err.startswith("latentct: manifest none.json does not exist")
    assert not (bundle / "eval").exists()


def test_another_failure_is_one_line_with_the_traceback_in_a_file(bundle, latentct_run, tmp_path):
    code, err = latentct_run(bundle, "inference", "--manifest", "$1 / 0")
    assert (code, err.count("\n")) == (1, 0)
    assert "inference failed: ZeroDivisionError: division by zero" in err
    assert "Traceback" in (bundle / "eval" / "inference-error.log").read_text()


def test_a_cause_of_several_lines_is_told_in_one(bundle, latentct_run):
    code, err = latentct_run(bundle, "inference", "--manifest", "$torch.nn.Linear(2, 2).load_state_dict({})")
    assert (code, err.count("\n")) == (1, 0)
    assert 'Error(s) in loading state_dict for Linear: Missing key(s) in state_dict: "weight"' in err


def test_a_config_that_is_no_yaml_is_refused_before_anything_runs(bundle, latentct_run):
    (bundle / "configs" / "train.yaml").write_text("epochs: [1\nrun: []\n")
    code, err = latentct_run(bundle, "training")
    assert (code, err.count("\n")) == (2, 0)
    assert "train.yaml is no valid YAML" in err
