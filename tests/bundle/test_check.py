"""Every kind of fault is found, all of them in one call."""

import json
import pickle
import shutil
import subprocess
import zipfile

import pytest
import yaml
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties

from latentct.bundle import faults
from latentct.bundle.check_files import file_faults
from latentct.bundle.check_metadata import SCHEMA
from latentct.bundle.check_stacks import REQUIRED

from .. import checks

HOME = "lsr_truncation"
IN_INFERENCE = {
    "rate": ("1e-4", "'1e-4' is text for YAML"),
    "data": ("/srv/ct", "'/srv/ct' is a path of one machine"),
    "home": ("$os.path.join('~/ct', 'a')", "'~/ct' is a path of one machine"),
    "gone": ({"_target_": "latentct.tasks.Metall"}, "'latentct.tasks.Metall' does not exist (did you mean 'Metal'?)"),
    "spelled": ({"_target_": "latentct.tasks.NMAR", "mu_wather": 1}, "takes no 'mu_wather' (did you mean 'mu_water'?)"),
    "bare": ({"_target_": "LoadImagedd"}, "'LoadImagedd' does not exist (did you mean 'LoadImaged'?)"),
    "module": ({"_target_": "latentct.tasks"}, "'latentct.tasks' is a module"),
    "other": ({"_target_": "subprocess.run"}, "_target_ 'subprocess.run' is not of"),
    "lost": ("@nowhere::x", "'@nowhere::x' names no entry"),
    "computed": ("$@scann + 1", "'@scann' names no entry (did you mean 'scan'?)"),
    "macro": ("%nowhere", "'%nowhere' names no entry"),
    "broken": ("$1 +", "expression '$1 +' is no Python"),
    "long": ("$str(int(1))", "'$str(int(1))' is more than one call on one line"),
    "loop": ("$[x for x in @scan]", "is more than one call on one line"),
    "brought": ("$import requests", "import of 'requests' is not of"),
    "weights_path": ("bundles/lsr_metal/models/none.pt", "weights lsr_metal/models/none.pt do not exist"),
    "own_path": ("$@bundle_root + '/models/nothing.pt'", "weights lsr_metal/models/nothing.pt do not exist"),
    "inference": (["$1"], "is not what `run` is"),
    "hu_min": (-500.0, "is -500.0, but -1000.0 in train.yaml"),
}
"""Entry of inference.yaml: its value, and what is said of it."""


@pytest.fixture
def bundle(tmp_path):
    """A copy of `lsr_metal` beside the bundle that it shares with."""
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / HOME).symlink_to(checks.ROOT / "bundles" / HOME)
    copy = tmp_path / "bundles" / "lsr_metal"
    shutil.copytree(checks.ROOT / "bundles" / "lsr_metal", copy, symlinks=True, ignore=shutil.ignore_patterns("eval"))
    return copy


def edit(file, change):
    """Change the content of a YAML or JSON file."""
    json_file = file.suffix == ".json"
    content = json.loads(file.read_text()) if json_file else yaml.safe_load(file.read_text())
    change(content)
    file.write_text(json.dumps(content) if json_file else yaml.safe_dump(content, sort_keys=False))


def write_torch_file(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)


def test_a_good_bundle_has_no_faults(bundle):
    assert faults(bundle) == []


def plant_in_configs(bundle):
    def change(config):
        config.update({key: value for key, (value, _) in IN_INFERENCE.items()})
        del config["dataset"], config["seed"]
        config["+pair"] = [1]
        config["pair"] = 2

    edit(bundle / "configs" / "inference.yaml", change)
    with (bundle / "configs" / "inference.yaml").open("a") as config:
        config.write("split: test\nnested:\n- {a: 1, a: 2}\n")
    edit(bundle / "configs" / "evaluate.yaml", lambda config: config.update(scan={"n_views": 7}))
    (bundle / "configs" / "cut.yaml").write_text("a: [1\n")
    (bundle / "configs" / "deep.yaml").write_text("nothing::below: 1\n")
    (bundle / "configs" / "shared.yaml").write_text(f'a: "%bundles/{HOME}/configs/train.yaml::nothing"\n')
    (bundle / "configs" / "layer.yaml").write_text("train::dataset::dats: 1\n")
    expected = [("configs/inference.yaml", key, said) for key, (_, said) in IN_INFERENCE.items()]
    return [
        *expected,
        ("configs/inference.yaml", "scan::n_views", "is '@_meta_::scan::n_views', but 7 in evaluate.yaml"),
        ("configs/inference.yaml", "dataset", "is missing"),
        ("configs/inference.yaml", "seed", "is missing"),
        ("configs/inference.yaml", "split", "is given twice"),
        ("configs/inference.yaml", "nested::0::a", "is given twice"),
        ("configs/cut.yaml", "", "is no valid YAML"),
        ("configs/train.yaml + deep.yaml", "", "'nothing::below' goes into an entry that"),
        ("configs/train.yaml + shared.yaml", "", "names an entry that"),
        ("configs/train.yaml + layer.yaml", "train::dataset", "takes no 'dats' (did you mean 'data'?)"),
    ]


def plant_in_metadata(bundle):
    def change(meta):
        meta |= {"version": "0.9.0", "numpy_version": "1.0.0"}
        meta["required_packages_version"] |= {"no-such-package": "1.0.0", "numba": "0.1.0"}
        del meta["task"]
        meta["scan"] = {}

    edit(bundle / "configs" / "metadata.json", change)
    named = "required_packages_version"
    return [
        ("configs/metadata.json", "version", "version 0.9.0 is not in the changelog"),
        ("configs/metadata.json", "numpy_version", "numpy is 1.0.0 here and"),
        ("configs/metadata.json", f"{named}::no-such-package", "no-such-package 1.0.0 is not installed"),
        ("configs/metadata.json", f"{named}::numba", "numba is 0.1.0 here and"),
        ("configs/metadata.json", "", "'task' is a required property"),
        ("configs/metadata.json", "scan", "non-empty"),
    ]


def plant_in_files(bundle):
    (bundle / "docs" / "data_license.txt").write_text("")
    (bundle / "configs" / "smoke.yaml").unlink()
    (bundle / "scripts").mkdir()
    (bundle / "scripts" / "net.py").write_text("")
    with (bundle / "docs" / "film.bin").open("wb") as file:
        file.truncate(26 * 1000**2)
    (bundle / "models" / "raw.pt").write_bytes(pickle.dumps({"a": 1}))
    (bundle / "models" / "empty.zip.pt").write_bytes(b"")
    write_torch_file(bundle / "models" / "evil.pt", b"cos\nsystem\n(S'ls'\ntR.")
    write_torch_file(bundle / "models" / "new.pt", pickle.dumps(shutil.copy, protocol=4))
    write_torch_file(bundle / "models" / "cut.pt", b"\x80\x02}q")
    return [
        ("docs/data_license.txt", "", "is missing or empty"),
        ("configs/smoke.yaml", "", "is missing or empty"),
        ("scripts/net.py", "", "is Python"),
        ("docs/film.bin", "", "has 26 MB"),
        ("models/raw.pt", "", "is no zip"),
        ("models/evil.pt", "", "would load 'os system'"),
        ("models/new.pt", "", "would load 'STACK_GLOBAL'"),
        ("models/cut.pt", "", "holds a pickle that cannot be read"),
    ]


def plant_in_large_files(bundle):
    good = {"path": "models/a.pt", "url": "https://example.org/a.pt", "hash_val": 64 * "a", "hash_type": "sha256"}
    bad = [
        ({"url": "http://example.org/a.pt"}, "url 'http://example.org/a.pt' is not https"),
        ({"hash_val": "abc"}, "hash_val is no sha256, which has 64"),
        ({"hash_val": 64 * "a", "hash_type": "sha512"}, "hash_val is no sha512, which has 128"),
        ({"hash_type": "md5"}, "hash_type 'md5' is unknown"),
        ({"path": "../a.pt"}, "path '../a.pt' leads out of the bundle"),
        ({"path": "models/unet.pt"}, "models/unet.pt has another SHA-256"),
        ({"hash_val": None, "url": 1}, "has no url and no hash_val"),
    ]
    listing = {"large_files": [good, *(good | change for change, _ in bad)]}
    (bundle / "large_files.yml").write_text(yaml.safe_dump(listing))
    return [("large_files.yml", f"large_files::{number}", said) for number, (_, said) in enumerate(bad, 1)]


def plant_in_readme(bundle):
    readme = bundle / "docs" / "README.md"
    text = readme.read_text().replace("run evaluating ", "run evaluate ")
    lines = """
    B=bundles/lsr_metal
    latentct run $B trainig
    latentct run $B training --epohcs 3
    python -m monai.bundle run training --bundle_root bundles/none --config_file $B/configs/train.yaml
    python -m monai.bundle run inference --bundle_root $B --config_file $B/none.yaml
    python -m monai.bundle destroy --config_file $B/configs/train.yaml
"""
    readme.write_text(text + lines)
    return [
        ("docs/README.md", "", "has no command `python -m monai.bundle run evaluating ...`"),
        ("docs/README.md", "`python", "run id 'evaluate' is in none of its configs"),
        ("docs/README.md", "`latentct", "run id 'trainig' is unknown (did you mean 'training'?)"),
        ("docs/README.md", "`latentct", "override --epohcs is no key of train.yaml (did you mean 'epochs'?)"),
        ("docs/README.md", "`python", "--bundle_root is no folder"),
        ("docs/README.md", "`python", "config bundles/lsr_metal/none.yaml does not exist"),
        ("docs/README.md", "`python", "no command 'destroy' that is known"),
    ]


def test_all_faults_are_listed_at_once(bundle):
    planted = [
        expected
        for plant in (plant_in_configs, plant_in_metadata, plant_in_files, plant_in_large_files, plant_in_readme)
        for expected in plant(bundle)
    ]
    found = faults(bundle)
    for file, key, said in planted:
        same = [fault for fault in found if fault.file == file and fault.key.startswith(key) and said in fault.sentence]
        assert same, (file, key, said, [str(fault) for fault in found if fault.file == file])
    lines = [str(fault) for fault in found]
    assert all("\n" not in line and line.startswith("lsr_metal: ") for line in lines)
    assert len(set(lines)) == len(lines)


def test_one_wrong_thing_is_one_fault(bundle):
    """However many stacks show it."""
    for file, change in (
        ("evaluate.yaml", "unset: '@nothing'\n"),
        ("train_unet.yaml", "net: {_target_: torch.nn.Linera}\n"),
    ):
        with (bundle / "configs" / file).open("a") as config:
            config.write(change)
    assert [(fault.file, fault.key) for fault in faults(bundle)] == [
        ("configs/train.yaml + evaluate.yaml", "unset"),
        ("configs/train.yaml + train_unet.yaml", "net"),
    ]


def test_a_folder_that_is_no_bundle_lacks_its_files(tmp_path):
    assert {fault.sentence for fault in faults(tmp_path)} == {"is missing or empty; every bundle has this file."}


def test_a_large_file_is_listed_or_in_git_and_not_both(bundle):
    def git(*words):
        subprocess.run(["git", "-C", bundle, *words], check=True, capture_output=True)

    item = {"path": "models/big.pt", "url": "https://example.org/big.pt", "hash_val": 64 * "a", "hash_type": "sha256"}
    (bundle / "large_files.yml").write_text(yaml.safe_dump({"large_files": [item]}))
    assert file_faults(bundle) == []
    git("init", "-q")
    (bundle / "models" / "big.pt").write_bytes(b"")
    git("add", "models/big.pt")
    (bundle / "models" / "big.pt").unlink()
    (fault,) = file_faults(bundle)
    assert "models/big.pt is in git too" in fault.sentence


def test_weights_that_are_listed_may_be_fetched_later(bundle):
    weights = bundle / "models" / "unet.pt"
    weights.unlink()
    assert {fault.key for fault in faults(bundle)} == {"unet_path"}
    item = {"path": "models/unet.pt", "url": "https://example.org/u.pt", "hash_val": 64 * "a", "hash_type": "sha256"}
    (bundle / "large_files.yml").write_text(yaml.safe_dump({"large_files": [item]}))
    assert faults(bundle) == []


def test_the_ids_are_those_that_monai_requires():
    for kind, properties in {"train": TrainProperties, "infer": InferProperties}.items():
        required = {item["id"] for item in properties.values() if item["required"]}
        assert required <= set(REQUIRED[kind]), kind
    of_meta = {item["id"] for item in MetaProperties.values() if item["required"]}
    assert {name.removeprefix("_meta_::") for name in of_meta} <= set(json.loads(SCHEMA.read_text())["required"])
