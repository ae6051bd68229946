import pytest
import yaml

from latentct.bundle import refuse_foreign_targets, stage_bundle
from latentct.errors import InputError

from .. import checks

REFUSED = {
    "another package": {"network": {"_target_": "subprocess.run", "args": ["ls"]}},
    "deep in a list": {"a": [{"b": {"_target_": "requests.get"}}]},
    "a module of Python": {"a": {"_target_": "os.system", "command": "ls"}},
    "a built-in": {"a": {"_target_": "open", "file": "x", "mode": "w"}},
    "a private part": {"a": {"_target_": "torch._C.something"}},
    "a target that is worked out": {"a": {"_target_": "$'os.' + 'system'"}},
    "a target that is referred to": {"a": {"_target_": "@name"}, "name": "os.system"},
    "a deep key": {"a#_target_": "os.system"},
    "a target within a target": {"a": {"_target_": {"_target_": "torch.nn.L1Loss"}}},
    "no name at all": {"a": {"_target_": ["os.system"]}},
    "an import": {"imports": ["$import subprocess"]},
    "an import from": {"imports": ["$from urllib.request import urlopen"]},
    "an import of two": {"imports": ["$import os, socket"]},
    "an import elsewhere": {"run": ["$import shutil"]},
    "a built-in that imports": {"run": ["$__import__('os').system('ls')"]},
    "a built-in that runs text": {"a": "$eval('1')"},
    "a built-in that opens": {"a": "$open('/etc/passwd').read()"},
    "a private attribute": {"a": "$().__class__.__base__"},
    "a command": {"a": "$os.system('ls')"},
    "no Python": {"a": "$1 +"},
    "a file of others": {"a": "%/etc/config.yaml::b"},
}


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.yaml").write_text("a: 1\n")
    return tmp_path


@pytest.mark.parametrize("config", REFUSED.values(), ids=REFUSED)
def test_what_is_foreign_is_refused_with_its_file_and_key(bundle, config):
    (bundle / "configs" / "inference.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(InputError, match=rf"configs/inference\.yaml: {next(iter(config))}.*register bundles of"):
        refuse_foreign_targets(bundle)


ACCEPTED = {
    "imports": ["$import os", "$import torch.distributed as dist", "$from latentct.engines import load_weights"],
    "bare": {"_target_": "LoadImaged", "keys": "image"},
    "dotted": {"_target_": "torch.optim.lr_scheduler.LambdaLR"},
    "folder": "$os.environ.get('DATA', '')",
    "text": "os.system and $1",
    "sized": "$len(@a::b) > 0 and str(@c)",
    "run": ["$@evaluator.run()"],
    "inference": "%run",
}


def test_what_the_project_uses_is_accepted(bundle):
    (bundle / "configs" / "inference.yaml").write_text(yaml.safe_dump(ACCEPTED))
    refuse_foreign_targets(bundle)


@pytest.mark.parametrize("source", checks.bundle_folders(), ids=lambda bundle: bundle.name)
def test_every_bundle_of_the_project_is_accepted(source, tmp_path):
    refuse_foreign_targets(stage_bundle(source, tmp_path / "copy").root)
