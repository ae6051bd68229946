"""Whatever trains, evaluates or infers is tracked, by the first of its handlers; whatever trains resumes exactly."""

from pathlib import Path

import pytest

from latentct.bundle.stacks import config_stacks, read_stack

from .. import checks

STACKS = [stack for bundle in checks.bundle_folders() for stack in config_stacks(bundle)]
PARAMETERS = {"ids": checks.stack_name}
PIPELINE = "latentct.tracking.PipelineTracker"


TRAINING = [stack for stack in STACKS if "trainer" in read_stack(stack).get("train", {})]


@pytest.mark.parametrize("stack", STACKS, **PARAMETERS)
def test_the_tracker_comes_first(stack: list[Path]) -> None:
    config = read_stack(stack)
    if "evaluating" not in config and "trainer" in config.get("train", {}):
        assert config["train"]["handlers"][0]["handler"] == "@train::tracker"
        assert config["train"]["tracker"]["splits"] == ["@split", "validation"]
    elif "run_stages" in str(config["run"]):
        assert config["tracker"]["_target_"] == PIPELINE
        assert "@tracker" in config["run"][0]
    else:
        attached = config.get("handlers") or config["validate"].get("handlers") or []
        first = [line for line in config["initialize"] if ".attach(" in line]
        assert "@tracker" in [*attached[:1], *(line.removeprefix("$").split(".")[0] for line in first[:1])]
        assert "splits" in config["tracker"]


@pytest.mark.parametrize("stack", TRAINING, **PARAMETERS)
def test_a_training_resumes_exactly(stack: list[Path]) -> None:
    config = read_stack(stack)
    targets = [item["_target_"] for item in config["train"]["handlers"] if isinstance(item, dict)]
    assert "latentct.engines.SeededEpochs" in targets
    assert "persistent_workers" not in config["train"]["dataloader"], "workers that live on draw on"
    assert config["checkpoint"]["objects"]["ema"]["_target_"] == "latentct.engines.AverageState"
    assert ("early_stop" in config) == ("early_stop" in config["checkpoint"]["objects"])
