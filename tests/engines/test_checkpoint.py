"""A training that is killed and goes on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from monai.engines import SupervisedTrainer
from torch import nn

from latentct.engines import AverageState, BestWeights, TrainingCheckpoint
from latentct.errors import InputError

STEPS = 3


class Killed(BaseException):
    """What a test throws where a machine would go down."""


class Training:
    """A regression whose optimizer and scheduler have a state; it notes the epoch and the iteration of each step."""

    def __init__(self, path: Path, epochs: int = 4, width: int = 2, kill_at: int | None = None, **options: Any) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 1))
        self.steps: list[tuple[int, int]] = []
        self.kill_at = kill_at
        optimizer = torch.optim.Adam(self.network.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        inputs = torch.rand(STEPS, 4, 3, generator=torch.Generator().manual_seed(1))
        self.trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=epochs,
            train_data_loader=[{"image": x, "label": x.sum(dim=1, keepdim=True)} for x in inputs],
            network=self.network,
            optimizer=optimizer,
            loss_function=nn.MSELoss(),
        )
        self.trainer.add_event_handler(Events.ITERATION_STARTED, self._note)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: scheduler.step())
        objects = {"model": self.network, "optimizer": optimizer, "lr_scheduler": scheduler}
        TrainingCheckpoint(path, objects, **options).attach(self.trainer)

    def _note(self) -> None:
        state = self.trainer.state
        if state.iteration == self.kill_at:
            raise Killed
        self.steps.append((state.epoch, state.iteration))

    def run(self) -> dict[str, torch.Tensor]:
        self.trainer.run()
        return self.network.state_dict()


def steps(first_epoch: int, last_epoch: int) -> list[tuple[int, int]]:
    return [(e, (e - 1) * STEPS + i) for e in range(first_epoch, last_epoch + 1) for i in range(1, STEPS + 1)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "checkpoint.pt"


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in b)


def test_a_killed_run_goes_on_where_it_stopped(path, tmp_path):
    whole = Training(tmp_path / "whole.pt")
    expected = whole.run()
    assert whole.steps == steps(1, 4)
    with pytest.raises(Killed):
        Training(path, kill_at=8).run()  # in the third epoch, of which nothing is kept
    resumed = Training(path, resume=True)
    found = resumed.run()
    assert resumed.steps == steps(3, 4)
    assert equal(found, expected)
    stored = torch.load(path, weights_only=True)
    assert stored["epoch"] == 4
    assert equal(stored["model"], found)


def test_a_resumed_run_may_be_longer(path):
    Training(path, epochs=2).run()
    resumed = Training(path, epochs=3, resume=True)
    resumed.run()
    assert resumed.steps == steps(3, 3)


def test_a_finished_run_has_nothing_left_to_do(path):
    expected = Training(path, epochs=2).run()
    resumed = Training(path, epochs=2, resume=True)
    assert equal(resumed.run(), expected)
    assert resumed.steps == []


def test_the_file_is_always_whole(path, monkeypatch):
    Training(path, epochs=1).run()
    save = torch.save

    def interrupted(content: Any, file: Path) -> None:
        save({"epoch": 0}, file)
        raise Killed

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(Killed):
        Training(path, epochs=2, resume=True).run()
    monkeypatch.undo()
    assert torch.load(path, weights_only=True)["epoch"] == 1
    resumed = Training(path, epochs=2, resume=True)
    resumed.run()
    assert resumed.steps == steps(2, 2)
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.pt"]


def test_no_checkpoint_to_resume(path):
    with pytest.raises(InputError, match=r"there is no checkpoint .*checkpoint\.pt to resume; train without `resume`"):
        Training(path, resume=True)
    assert not path.parent.exists()


def test_a_checkpoint_is_not_overwritten_unasked(path):
    Training(path, epochs=1).run()
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"already holds checkpoint\.pt"):
        Training(path)
    assert path.read_bytes() == before
    Training(path, epochs=2, overwrite=True).run()
    assert torch.load(path, weights_only=True)["epoch"] == 2


def test_another_network(path):
    Training(path, epochs=1).run()
    with pytest.raises(InputError, match=r"checkpoint\.pt is of another configuration \(Error\(s\) in loading"):
        Training(path, width=5, resume=True)


def test_a_checkpoint_without_its_epoch(path):
    Training(path, epochs=1).run()
    state = torch.load(path, weights_only=True)
    torch.save({name: state[name] for name in ("model", "optimizer", "lr_scheduler")}, path)
    with pytest.raises(InputError, match=r"is of another configuration \('epoch'\)"):
        Training(path, resume=True)


@pytest.mark.parametrize("content", [{"model": {}}, {}, {"epoch": 1}, {"model": 3}])
def test_another_kind_of_file(path, content):
    path.parent.mkdir()
    torch.save(content, path)
    with pytest.raises(InputError, match=r"checkpoint\.pt is of another configuration"):
        Training(path, resume=True)


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(2)])
def test_no_dictionary(path, content):
    path.parent.mkdir()
    torch.save(content, path)
    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read as a checkpoint"):
        Training(path, resume=True)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 nor this"])
def test_garbage(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read as a checkpoint"):
        Training(path, resume=True)


def test_best_weights_survive_a_resume_into_worse_validations(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)

    def validate(best: BestWeights, figure: float, weight: float) -> None:
        nn.init.constant_(network.weight, weight)
        evaluator = Engine(lambda engine, batch: engine.state.metrics.update(error=figure))
        best.attach(evaluator)
        evaluator.run([0])

    first = BestWeights(tmp_path / "best.pt", network, "error")
    validate(first, 2.0, weight=2.0)
    validate(first, 3.0, weight=3.0)
    resumed = BestWeights(tmp_path / "best.pt", network, "error")
    resumed.load_state_dict(first.state_dict())
    validate(resumed, 2.5, weight=2.5)
    assert torch.load(tmp_path / "best.pt", weights_only=True)["weight"].item() == 2.0
    validate(resumed, 1.0, weight=1.0)
    assert torch.load(tmp_path / "best.pt", weights_only=True)["weight"].item() == 1.0


def averaged(steps: range, state: dict[str, Any] | None = None) -> AverageState:
    """The average of a weight that is the number of the step, gone on with from a state."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    handler = EMAHandler(network, momentum=0.1, momentum_warmup=0.5, warmup_iters=4)
    engine = Engine(lambda _, step: nn.init.constant_(network.weight, float(step)))
    handler.attach(engine)
    kept = AverageState(handler)
    if state is not None:
        kept.load_state_dict(state)
    engine.run(list(steps), max_epochs=1)
    return kept


def test_an_average_goes_on_with_the_momentum_it_had(tmp_path: Path) -> None:
    path = tmp_path / "average.pt"
    torch.save(averaged(range(3)).state_dict(), path)
    resumed = averaged(range(3, 6), torch.load(path, weights_only=True)).state_dict()
    whole = averaged(range(6)).state_dict()
    assert resumed["updates"] == whole["updates"]
    assert torch.equal(resumed["model"]["weight"], whole["model"]["weight"])
