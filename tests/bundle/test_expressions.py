import pytest

from latentct.bundle.check_readme import shell_commands
from latentct.bundle.expressions import imported_modules, is_import, is_short, leading_texts
from latentct.bundle.stacks import config_stacks, plain, read_stack, run_id

from .. import checks


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
def test_an_expression_is_one_call_on_one_line(expression, short):
    assert is_short(expression) is short


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        ("$glob.glob('/data/*')", ["/data/*"]),
        ("$os.path.join(@root, '/x')", ["/x"]),
        ("$@root + '/a' + '/b'", []),
        ("$f'{@root}/models'", []),
        ("$f'/srv/{@name}'", ["/srv/"]),
    ],
)
def test_texts_are_told_from_those_that_continue_a_path(expression, texts):
    assert leading_texts(expression) == texts


def test_imports_are_told_from_other_expressions():
    assert is_import("$import torch") and is_import("$ from a.b import c")
    assert not is_import("$importlib") and not is_import("import torch")
    assert imported_modules("$import a.b as c, d") == ["a.b", "d"]
    assert imported_modules("$from a.b import c") == ["a.b"]


def write_bundle(folder, **configs):
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text('{"version": "0.1.0", "size": {"shape": [2, 3]}}')
    for name, text in configs.items():
        (folder / "configs" / f"{name}.yaml").write_text(text)
    return folder


def stacks(bundle):
    return {checks.stack_name(stack): run_id(stack) for stack in config_stacks(bundle)}


def test_every_config_is_read_alone_or_on_those_it_goes_on(tmp_path):
    bundle = write_bundle(
        tmp_path / "b", train="a: 1", inference="a: 1", smoke="a: 2", evaluate="a: 3", train_unet="a: 4"
    )
    assert stacks(bundle) == {
        "b:train": "training", "b:inference": "inference", "b:train+evaluate": "evaluating",
        "b:train+smoke": "training", "b:train+train_unet": "training_unet",
    }  # fmt: skip


def test_layers_of_a_bundle_in_stages_go_on_every_stage(tmp_path):
    stages = {f"train_{name}": "a: 1" for name in ("autoencoder", "alignment", "diffusion")}
    bundle = write_bundle(tmp_path / "b", train="a: 1", inference="a: 1", smoke="a: 2", evaluate="a: 3", **stages)
    assert stacks(bundle) == {
        "b:train": "training", "b:inference": "inference", "b:train_autoencoder": "training_autoencoder",
        "b:train_alignment": "training_alignment", "b:train_diffusion": "training_diffusion",
        "b:train_autoencoder+evaluate": "evaluating", "b:train+smoke": "training",
        "b:train_autoencoder+smoke": "training_autoencoder", "b:train_alignment+smoke": "training_alignment",
        "b:train_diffusion+smoke": "training_diffusion",
    }  # fmt: skip


def test_content_is_compared_by_meaning_and_not_by_spelling(tmp_path):
    text = "a: {{_target_: torch.nn.Linear, in_features: {0}}}\nb: '@c'\nc: '@b'\nd: '@e::f'\n"
    bundle = write_bundle(tmp_path / "b", train=text.format('"@_meta_::size::shape::0"'), inference=text.format(2))
    train, inference = (read_stack(stack) for stack in config_stacks(bundle))
    assert train["a"] != inference["a"]
    assert plain(train, "a") == plain(inference, "a") == {"_target_": "torch.nn.Linear", "in_features": 2}
    assert (plain(train, "b"), plain(train, "d"), plain(train, "none")) == ("@c", "@e::f", None)


def test_commands_of_a_readme_are_read_as_a_shell_would():
    indented = "    B=bundles/x\n    python -m a --file \"['$B/a.yaml']\" \\\n      --n 2   # why\n"
    assert shell_commands(f"Run\n\n{indented}\n```bash\nmake demo\n```\n") == [
        ["make", "demo"],
        ["python", "-m", "a", "--file", "['bundles/x/a.yaml']", "--n", "2"],
    ]
