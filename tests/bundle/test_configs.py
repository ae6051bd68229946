import subprocess
import sys
from copy import deepcopy

import pytest
import yaml
from monai.bundle import ConfigParser

from latentct.bundle.configs import (
    entry,
    ids,
    leaves,
    read_config,
    read_layers,
    with_shared_entries,
)
from latentct.bundle.stacks import config_stacks
from latentct.errors import InputError

from .. import checks

STACKS = [stack for bundle in checks.bundle_folders() for stack in config_stacks(bundle)]


@pytest.fixture
def write(tmp_path):
    """Writes configs and returns their files."""

    def files(*configs):
        names = [tmp_path / f"{number}.yaml" for number in range(len(configs))]
        for name, config in zip(names, configs, strict=True):
            name.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
        return names

    return files


@pytest.mark.parametrize("stack", STACKS, ids=checks.stack_name)
@pytest.mark.filterwarnings("ignore:Can't merge entry")
def test_layers_and_shared_entries_are_those_of_monai(stack, monkeypatch):
    monkeypatch.chdir(checks.ROOT)
    assert read_layers(stack) == ConfigParser.load_config_files([str(file) for file in stack])
    own = with_shared_entries(read_layers(stack))
    parser = ConfigParser(deepcopy(own))
    parser.resolve_macro_and_relative_ids()
    expected = checks.parse(stack).get()
    assert parser.get() == {key: value for key, value in expected.items() if key != "_meta_"}


LAYERS = {
    "replace": [{"a": {"b": 1}, "c": [1]}, {"a": 2}],
    "deep": [{"a": {"b": [1, {"c": 2}]}}, {"a::b::1::c": 3, "a#b#0": 4, "a::new": 5}],
    "add to list": [{"a": {"b": [1]}}, {"+a::b": [2, 3]}],
    "add to dict": [{"a": {"b": 1, "c": 2}}, {"+a": {"c": 3, "d": 4}}],
    "add to nothing": [{"a": {}}, {"+b": [1], "+a::c": {"d": 1}}],
    "on one another": [{"a": [1]}, {"+a": [2]}, {"a::1": 3}],
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
@pytest.mark.filterwarnings("ignore:Can't merge entry")
def test_a_layer_is_merged_as_monai_merges_it(layers, write):
    files = write(*layers)
    assert read_layers(files) == ConfigParser.load_config_files([str(file) for file in files])


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("a: [1", "1.yaml is no valid YAML: .*line 1"),
        ("- 1", "1.yaml must hold entries"),
        ("", "1.yaml must hold entries"),
        ({"a::b::c": 1}, "1.yaml: 'a::b::c' goes into an entry that"),
        ({"+a": [1]}, "1.yaml: .* adds to an entry of another kind"),
    ],
)
def test_a_layer_that_cannot_be_read_is_refused_in_one_sentence(config, said, write):
    with pytest.raises(InputError, match=said) as refused:
        read_layers(write({"a": {"d": 1}}, config))
    assert "\n" not in str(refused.value)


def test_shared_entries_are_put_in_place_wherever_they_stand(tmp_path):
    (tmp_path / "deep.yaml").write_text("inner: {x: [1, 2]}\n")
    (tmp_path / "home.json").write_text('{"a": {"b": "%deep.yaml::inner"}, "run": "%a"}')
    config = {
        "here": ["%deep.yaml::inner::x::1", "%home.json#a"],
        "local": "%here",
        "text": "50 %",
        "all": "%deep.yaml",
    }
    assert with_shared_entries(config, tmp_path) == {
        "here": [2, {"b": {"x": [1, 2]}}], "local": "%here", "text": "50 %", "all": {"inner": {"x": [1, 2]}},
    }  # fmt: skip


def test_shared_entries_that_do_not_end_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text('x: "%a.yaml::y"\ny: ["%a.yaml::x"]\n')
    with pytest.raises(InputError, match="made of itself"):
        with_shared_entries({"z": "%a.yaml::x"}, tmp_path)
    with pytest.raises(InputError, match=r"'%a.yaml::w' names an entry that a.yaml does not have"):
        with_shared_entries({"z": "%a.yaml::w"}, tmp_path)
    with pytest.raises(InputError, match=r"b.yaml cannot be read \(No such file"):
        with_shared_entries({"z": "%b.yaml::w"}, tmp_path)


def test_ids_leaves_and_entries_name_the_same_things():
    config = {"a": {"b": [1, {"c": None}], "empty": {}}, "d": "x"}
    assert list(ids(config)) == ["a", "a::b", "a::b::0", "a::b::1", "a::b::1::c", "a::empty", "d"]
    assert leaves(config) == {"a::b::0": 1, "a::b::1::c": None, "d": "x"}
    assert all(entry(config, key) == value for key, value in leaves(config).items())
    for key in ("e", "a::b::7", "d::x", "a::b::x"):
        with pytest.raises(KeyError):
            entry(config, key)


def test_a_yaml_number_is_what_monai_reads(write):
    (file,) = write("a: 1e-4\nb: 1.0e-4\nc: yes\nd: 0x1f\n")
    assert read_config(file) == {"a": "1e-4", "b": 1e-4, "c": True, "d": 31} == ConfigParser.load_config_file(file)


def test_a_typing_error_is_found_without_monai():
    code = (
        "import sys; from latentct.cli.main import main\n"
        "sys.argv = ['latentct', 'run', 'bundles/lsr_metal', 'training', '--epohcs', '9']\n"
        "try:\n    main()\nfinally:\n    print(sorted(set(sys.modules) & {'monai', 'torch', 'numpy', 'mlflow'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=checks.ROOT)
    assert (done.returncode, done.stdout.strip()) == (2, "[]")
    assert "did you mean 'epochs'?" in done.stderr
