"""Commit, versions, manifest and configuration of a run."""

import hashlib
import json
import socket
import subprocess
from pathlib import Path

from latentct.tracking.provenance import config_params, git_state, hardware, manifest_tags


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("a")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert git_state(tmp_path) == {"git.commit": commit, "git.dirty": "false"}
    (tmp_path / "code.py").write_text("b")
    assert git_state(tmp_path) == {"git.commit": commit, "git.dirty": "true"}


def test_outside_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {}
    assert git_state(tmp_path / "absent") == {}


def test_code_installed_into_somebody_elses_repository_has_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "own.py").write_text("a")
    git(tmp_path, "add", "own.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    (tmp_path / "site-packages").mkdir()
    assert git_state(tmp_path / "site-packages") == {}


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) == {}


def test_manifest_is_named_by_its_file_and_by_its_volumes(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "set.json"
    path.parent.mkdir()
    path.write_text("{}")
    tags = manifest_tags(path, [{"id": "a"}])
    assert tags["manifest.name"] == "set.json"
    assert tags["manifest.sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert tags["manifest.volumes_sha256"] == hashlib.sha256(json.dumps([{"id": "a"}]).encode()).hexdigest()
    assert manifest_tags(path, [{"id": "b"}])["manifest.volumes_sha256"] != tags["manifest.volumes_sha256"]


def test_hardware_is_named_and_the_machine_is_not() -> None:
    found = hardware()
    assert found["hardware.cpu"]
    assert int(found["hardware.cores"]) >= 1
    assert int(found["hardware.memory_gib"]) >= 1
    assert socket.gethostname() not in " ".join(found.values())


def test_params_of_a_config_are_its_plain_top_values() -> None:
    config = {
        "_meta_": {"name": "lsr", "version": "0.1.0", "task": "long text"},
        "seed": 1,
        "resume": False,
        "network_def": {"_target_": "x", "channels": [1, 2]},
        "device": "$torch.device('cpu')",
        "alias": "@seed",
        "run": "%training",
    }
    assert config_params(config) == {"bundle.name": "lsr", "bundle.version": "0.1.0", "seed": 1, "resume": False}
