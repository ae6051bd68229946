"""The checks of bundles find what they are for."""

from pathlib import Path

import pytest

from . import checks


def write_bundle(folder: Path, train: str, **layers: str) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text('{"version": "0.1.0", "size": {"shape": [2, 3]}}')
    for name, text in {"train": train, **layers}.items():
        (folder / "configs" / f"{name}.yaml").write_text(text)
    return folder


def test_every_config_is_read_alone_or_on_train(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", "a: 1", inference="a: 1", smoke="a: 2", evaluate="a: 3")
    names = [checks.stack_name(stack) for stack in checks.config_stacks(bundle)]
    assert names == ["b:train", "b:inference", "b:train+evaluate", "b:train+smoke"]


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", "a: 1\na: 2\n")
    with pytest.raises(ValueError, match=r"[Dd]uplicate"):
        checks.parse([bundle / "configs" / "train.yaml"])


def test_a_layer_on_a_key_that_is_missing_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", "a: 1\n", smoke="b::c: 1\n")
    with pytest.raises(KeyError):
        checks.parse(checks.config_stacks(bundle)[-1])


def test_floats_that_yaml_reads_as_text_are_found() -> None:
    config = {"lr": "1e-4", "good": 1.0e-4, "list": ["2.5E3", "1e-4 of it", "0.1"]}
    assert checks.float_texts(config) == ["lr", "list::0"]


def test_outside_paths_are_found_in_values_and_expressions() -> None:
    config = {
        "data": "/data/ct",
        "home": "~/ct",
        "drive": "C:\\ct",
        "glob": "$glob.glob('/data/*')",
        "join": "$os.path.join(@root, '/x')",
        "fine": ["$@root + '/models/model.pt'", "bundles/x", "$@root + '/a' + '/b'", "$f'{@root}/models'"],
    }
    assert checks.outside_paths(config) == ["data", "home", "drive", "glob", "join"]


def test_targets_that_do_not_exist_or_take_no_such_argument_are_found() -> None:
    config = {
        "good": {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1, "_disabled_": False},
        "monai": {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0},
        "gone": {"_target_": "torch.nn.Linera", "in_features": 1},
        "deep": [{"_target_": "SaveImagedd"}],
        "typo": {"_target_": "torch.nn.Linear", "in_feature": 1},
    }
    wrong = checks.wrong_targets(config)
    assert [line.split(":")[0] for line in wrong] == ["gone", "deep", "typo"]
    assert "in_feature" in wrong[2]


def test_dangling_references_are_found(tmp_path: Path) -> None:
    bundle = write_bundle(
        tmp_path / "b", 'a: 1\nb: "$@a + @c::d"\nshape: "@_meta_::size::shape"\nlost: "@_meta_::size::spacing"\n'
    )
    found = checks.dangling_references(checks.parse([bundle / "configs" / "train.yaml"]))
    assert found == ["b: @c::d", "lost: @_meta_::size::spacing"]


@pytest.mark.parametrize(
    ("expression", "short"),
    [
        ("$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')", True),
        ("$@network_def.to(@device)", True),
        ("$lambda current, best: current < best", True),
        ("$import torch", True),
        ("$sorted(glob.glob('*.nii'))", False),
        ("$[{'image': i} for i in @files]", False),
        ("$f(@a)\n", False),
        ("$f(" + ", ".join(["@long_name"] * 20) + ")", False),
    ],
)
def test_an_expression_is_one_call_on_one_line(expression: str, short: bool) -> None:
    assert (checks.long_expressions({"x": expression}) == []) is short


def test_required_ids_that_are_missing_are_listed(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", "bundle_root: .\ndevice: cpu\n")
    missing = checks.missing_ids([bundle / "configs" / "train.yaml"], "train")
    assert {"dataset_dir", "train::trainer"} <= set(missing)
    assert "bundle_root" not in missing


def test_content_is_compared_by_value_not_by_spelling(tmp_path: Path) -> None:
    text = "a: {{_target_: torch.nn.Linear, in_features: {0}, out_features: 3}}\n"
    bundle = write_bundle(tmp_path / "b", text.format('"@_meta_::size::shape::0"'), inference=text.format(2))
    train, inference = (
        checks.plain_content(checks.parse([bundle / "configs" / name]), "a") for name in checks.COMPLETE
    )
    assert train == inference
    assert train["in_features"] == 2


def test_commands_of_a_readme_are_read_as_a_shell_would() -> None:
    indented = "    B=bundles/x\n    python -m a --file \"['$B/a.yaml']\" \\\n      --n 2   # why\n"
    text = f"Run\n\n{indented}\n```bash\nmake demo\n```\n"
    assert checks.shell_commands(text) == [
        ["make", "demo"],
        ["python", "-m", "a", "--file", "['bundles/x/a.yaml']", "--n", "2"],
    ]
