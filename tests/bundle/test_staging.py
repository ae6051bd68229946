import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
import yaml

from latentct.bundle import stage_bundle, verify_weights
from latentct.bundle.configs import leaves, project_root, read_config, with_shared_entries
from latentct.bundle.stacks import plain, read_stack
from latentct.errors import InputError
from latentct.io.manifest import file_sha256

from .. import checks

each_bundle = pytest.mark.parametrize("bundle", checks.bundle_folders(), ids=lambda bundle: bundle.name)
NAMED_ANEW = ("bundle_root", "experiment_name")
IN_EXPRESSIONS = {
    "autoencoder::channels": "[32, 64]", "autoencoder::latent_channels": "4", "conditioner::cond_channels": "16",
}  # fmt: skip


@pytest.fixture
def small(tmp_path):
    """A project with a bundle that shares an entry and weights with another, and much that is not to be shipped."""
    home, bundle = tmp_path / "bundles" / "home", tmp_path / "bundles" / "small"
    for folder in (home, bundle):
        for name in ("configs", "models", "docs", "eval"):
            (folder / name).mkdir(parents=True)
    (home / "configs" / "train.yaml").write_text("bundle_root: bundles/home\nwidth: 8\nrun: []\n")
    (home / "models" / "prior.pt").write_bytes(b"prior")
    (bundle / "models" / "unet.pt").write_bytes(b"unet")
    (bundle / "configs" / "train.yaml").symlink_to("../../home/configs/train.yaml")
    inference = {
        "bundle_root": "bundles/small",
        "ckpt_path": "bundles/home/models/prior.pt",
        "width": "%bundles/home/configs/train.yaml::width",
        "twice": ["@width", "@width"],
        "lr": 1e-5,
        "sizes": "@_meta_::net::sizes",
        "depth": "$len(@_meta_::net::sizes) + @width",
        "run": ["$print(@width)"],
        "inference": "%run",
    }
    (bundle / "configs" / "inference.yaml").write_text("# a comment\n" + yaml.safe_dump(inference))
    evaluate = {"ckpt_path": inference["ckpt_path"], "unet": {"path": "$@bundle_root + '/models/unet.pt'"}}
    (bundle / "configs" / "evaluate.yaml").write_text(yaml.safe_dump(evaluate))
    (bundle / "configs" / "metadata.json").write_text(json.dumps({"version": "0.2.0", "net": {"sizes": [8, 16]}}))
    for stray in (
        "eval/mlruns.db",
        "models/old.pt",
        "docs/.DS_Store",
        "docs/patient.nii.gz",
        "notes.txt",
        "configs/x~",
    ):
        (bundle / stray).write_bytes(b"stray")
    for kept in ("LICENSE", "docs/README.md", "configs/logging.conf"):
        (bundle / kept).write_text("kept")
    return bundle


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_a_staged_bundle_is_what_is_shipped_and_nothing_else(small, tmp_path):
    staged = stage_bundle(small, tmp_path / "deep" / "copy")
    assert (staged.root, staged.name, staged.version) == (tmp_path / "deep" / "copy", "small", "0.2.0")
    configs = {
        f"configs/{name}" for name in ("train.yaml", "inference.yaml", "evaluate.yaml", "metadata.json", "logging.conf")
    }
    models = {"models/model.pt", "models/unet.pt", "models/sha256.json"}
    assert files(staged.root) == {"LICENSE", "docs/README.md"} | configs | models
    assert not any(path.is_symlink() for path in staged.root.rglob("*"))
    assert (staged.root / "models" / "model.pt").read_bytes() == b"prior"
    assert staged.weights_sha256 == {
        name: file_sha256(staged.root / "models" / name) for name in ("model.pt", "unet.pt")
    }
    assert list((tmp_path / "deep").iterdir()) == [staged.root]


def test_a_staged_config_shares_nothing_and_names_its_own_weights(small, tmp_path):
    root = stage_bundle(small, tmp_path / "copy").root
    assert read_config(root / "configs" / "inference.yaml") == {
        "bundle_root": ".",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "width": 8,
        "twice": ["@width", "@width"],
        "lr": 1e-5,
        "sizes": [8, 16],
        "depth": "$len([8, 16]) + @width",
        "run": ["$print(@width)"],
        "inference": "%run",
    }
    evaluate = read_config(root / "configs" / "evaluate.yaml")
    assert evaluate["ckpt_path"] == "$@bundle_root + '/models/model.pt'"
    assert evaluate["unet"]["path"] == "$@bundle_root + '/models/unet.pt'"


def test_other_weights_take_the_place_of_the_priors(small, tmp_path):
    (tmp_path / "mine.pt").write_bytes(b"mine")
    root = stage_bundle(small, tmp_path / "copy", weights=tmp_path / "mine.pt").root
    assert (root / "models" / "model.pt").read_bytes() == b"mine"
    assert read_config(root / "configs" / "evaluate.yaml")["ckpt_path"] == "$@bundle_root + '/models/model.pt'"
    again = stage_bundle(root, tmp_path / "again")
    assert (again.root / "models" / "model.pt").read_bytes() == b"mine"


FAULTS = {
    "has no LICENSE": lambda bundle: (bundle / "LICENSE").unlink(),
    r"unet\.pt, which .* names, do not exist": lambda bundle: (bundle / "models" / "unet.pt").unlink(),
    r"prior\.pt, which .* names, do not exist": lambda bundle: (bundle / "../home/models/prior.pt").unlink(),
    "names an entry that": lambda bundle: (bundle / "../home/configs/train.yaml").write_text("a: 1"),
    "names an entry that metadata.json": lambda bundle: (bundle / "configs" / "metadata.json").write_text(
        '{"version": "0.2.0"}'
    ),
    "has no version": lambda bundle: (bundle / "configs" / "metadata.json").write_text("{}"),
    "ckpt_path is None": lambda bundle: (bundle / "configs" / "inference.yaml").write_text("a: 1"),
    "is no valid YAML": lambda bundle: (bundle / "configs" / "evaluate.yaml").write_text("a: ["),
}


@pytest.mark.parametrize(("said", "break_it"), FAULTS.items(), ids=FAULTS)
def test_a_bundle_that_lacks_something_leaves_no_copy(small, tmp_path, said, break_it):
    break_it(small)
    with pytest.raises(InputError, match=said):
        stage_bundle(small, tmp_path / "new" / "copy")
    assert list((tmp_path / "new").glob("*")) == []


def test_an_existing_destination_is_left_alone(small, tmp_path):
    (tmp_path / "copy").mkdir()
    with pytest.raises(InputError, match="copy exists already; choose another folder"):
        stage_bundle(small, tmp_path / "copy")
    assert list((tmp_path / "copy").iterdir()) == []


def test_two_weights_of_one_name_are_refused(small, tmp_path):
    (small.parent / "home" / "models" / "unet.pt").write_bytes(b"another")
    with (small / "configs" / "evaluate.yaml").open("a") as config:
        config.write("other: bundles/home/models/unet.pt\n")
    with pytest.raises(InputError, match=r"are called unet\.pt; rename one"):
        stage_bundle(small, tmp_path / "copy")


@each_bundle
def test_every_bundle_stages_to_a_copy_of_its_own(bundle, tmp_path):
    """Content is that of the source but for names of the bundle, its weights, its macros and what metadata says."""
    staged = stage_bundle(bundle, tmp_path / "copy")
    verify_weights(staged.root)
    for file in (staged.root / "configs").glob("*.yaml"):
        copy = leaves(read_config(file))
        source = leaves(with_shared_entries(read_config(bundle / "configs" / file.name), checks.ROOT))
        for key in set(copy) | set(source):
            if copy.get(key) != source.get(key) and key not in NAMED_ANEW:
                weights = re.fullmatch(r"\$@bundle_root \+ '/models/\w+\.pt'", str(copy.get(key)))
                of_meta = [name for name, value in source.items() if key.startswith(name) and "@_meta_" in str(value)]
                assert weights or of_meta, (file.name, key)


@each_bundle
@pytest.mark.parametrize("key", ["network_def", "grid", "hu_min", "scan", "machine", "mu_water"])
def test_a_copy_means_the_same_without_metadata(bundle, key, tmp_path, monkeypatch):
    monkeypatch.chdir(checks.ROOT)
    root = stage_bundle(bundle, tmp_path / "copy").root
    copy = read_config(root / "configs" / "inference.yaml")
    source = read_stack([bundle / "configs" / "inference.yaml"])
    assert "@_meta_" not in (root / "configs" / "inference.yaml").read_text()
    expected = json.dumps(plain(source, key))
    for reference, value in IN_EXPRESSIONS.items():
        expected = expected.replace(f"@_meta_::{reference}", value)
    assert json.dumps(plain(copy, key)) == expected


@each_bundle
def test_the_copy_has_the_weights_that_are_shipped(bundle, tmp_path):
    staged = stage_bundle(bundle, tmp_path / "copy")
    inference = with_shared_entries(read_config(bundle / "configs" / "inference.yaml"), project_root(bundle))
    assert staged.weights_sha256["model.pt"] == file_sha256(checks.ROOT / inference["ckpt_path"])
    second = "ldm.pt" if checks.in_stages(bundle) else "unet.pt"
    assert staged.weights_sha256[second] == file_sha256(bundle / "models" / second)


@pytest.fixture
def staged(small, tmp_path):
    return stage_bundle(small, tmp_path / "copy").root


def test_weights_that_changed_are_refused(staged):
    verify_weights(staged)
    (staged / "models" / "model.pt").write_bytes(b"priro")
    with pytest.raises(InputError, match=r"model\.pt is not the file whose SHA-256"):
        verify_weights(staged)


def test_weights_that_are_missing_are_refused(staged):
    (staged / "models" / "unet.pt").unlink()
    with pytest.raises(InputError, match=r"unet\.pt is missing, but sha256\.json lists it"):
        verify_weights(staged)


def test_weights_that_are_not_listed_are_refused(staged):
    shutil.copy(staged / "models" / "model.pt", staged / "models" / "other.pt")
    with pytest.raises(InputError, match=r"other\.pt is not listed"):
        verify_weights(staged)


@pytest.mark.parametrize("text", ["", "[1]", '"x"', None])
def test_a_listing_that_cannot_be_read_is_refused(staged, text):
    listing = staged / "models" / "sha256.json"
    listing.unlink() if text is None else listing.write_text(text)
    with pytest.raises(InputError, match="stage the bundle again"):
        verify_weights(staged)


@pytest.mark.slow
def test_a_staged_bundle_corrects_a_scan_from_any_folder(tmp_path):
    """Plain MONAI in an empty working directory; what comes out is what the source gives with the same few steps."""
    staged = stage_bundle(checks.ROOT / "bundles" / "lsr_metal", tmp_path / "copy").root
    (tmp_path / "empty").mkdir()
    sample = checks.ROOT / "src" / "latentct" / "sample"
    words = ["--manifest", sample / "manifest.json", "--dataset_dir", sample, "--output_dir", tmp_path / "out"]
    command = [sys.executable, "-m", "monai.bundle", "run", "inference", "--bundle_root", staged, "--rounds", "[1]"]
    command += ["--config_file", staged / "configs" / "inference.yaml", *words]
    environment = os.environ | {
        "PYTHONPATH": str(checks.ROOT / "src"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/m.db",
    }
    done = subprocess.run(
        [str(word) for word in command], cwd=tmp_path / "empty", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["methods"]["nmar"]["mae_hu"] < metrics["methods"]["uncorrected"]["mae_hu"]
    assert torch.load(staged / "models" / "model.pt", weights_only=True)
