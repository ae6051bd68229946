"""Weights in files: small, safe, and of the right network."""

import hashlib
import pickle

import pytest
import torch
from torch import nn

from latentct.engines import export_half, load_weights, refuse_overwriting, weights_sha256
from latentct.errors import InputError


def make(width: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return make()


@pytest.fixture
def checkpoint(tmp_path, network):
    torch.save({"model": network.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pt")
    return tmp_path / "checkpoint.pt"


def test_roundtrip_in_half_precision(tmp_path, network, checkpoint):
    path = export_half(checkpoint, tmp_path / "models" / "model.pt")
    assert path == tmp_path / "models" / "model.pt"
    stored = torch.load(path, weights_only=True)
    assert stored["0.weight"].dtype == torch.float16
    assert stored["1.num_batches_tracked"].dtype == torch.int64
    loaded = load_weights(make().train(), path)
    assert not loaded.training
    for name, value in network.state_dict().items():
        assert loaded.state_dict()[name].dtype == value.dtype
        assert torch.allclose(loaded.state_dict()[name].float(), value.float(), atol=1e-3)
    assert [file.name for file in path.parent.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("key", ["model", "ema"])
def test_other_entries_and_plain_states(tmp_path, network, key):
    torch.save({key: network.state_dict(), "other": {}}, tmp_path / "a.pt")
    torch.save(network.state_dict(), tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        loaded = load_weights(make(), tmp_path / name, key)
        assert torch.equal(loaded[0].weight, network[0].weight)


def test_export_replaces_and_reads_its_own(tmp_path, checkpoint):
    path = export_half(checkpoint, tmp_path / "model.pt")
    assert export_half(path, path) == path
    assert load_weights(make(), path)


@pytest.mark.parametrize("width", [2, 8])
def test_weights_of_another_network(width, checkpoint):
    with pytest.raises(InputError, match=r"checkpoint\.pt are not of this Sequential: 6 entries differ, .*'0\.bias'"):
        load_weights(make(width), checkpoint)


def test_missing_and_unknown_entries(checkpoint):
    with pytest.raises(InputError, match=r"5 entries differ.*'1\.bias'"):
        load_weights(nn.Sequential(nn.Conv2d(1, 4, 3)), checkpoint)
    with pytest.raises(InputError, match=r"2 entries differ.*'2\.bias'"):
        load_weights(nn.Sequential(*make(), nn.Conv2d(4, 1, 1)), checkpoint)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite(tmp_path, network, value):
    state = network.state_dict()
    state["0.weight"][0, 0, 1, 1] = value
    torch.save(state, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=r"bad\.pt hold values that are not finite, first in '0\.weight'"):
        load_weights(make(), tmp_path / "bad.pt")


@pytest.mark.parametrize("use", [lambda p: load_weights(make(), p), lambda p: export_half(p, p.parent / "out.pt")])
class TestUnreadable:
    def test_missing(self, tmp_path, use):
        with pytest.raises(InputError, match=r"none\.pt do not exist"):
            use(tmp_path / "none.pt")
        assert not (tmp_path / "out.pt").exists()

    @pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 nor this"])
    def test_garbage(self, tmp_path, use, content):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.pt cannot be read as weights"):
            use(tmp_path / "bad.pt")

    def test_a_truncated_file(self, checkpoint, use):
        checkpoint.write_bytes(checkpoint.read_bytes()[:-200])
        with pytest.raises(InputError, match=r"checkpoint\.pt cannot be read as weights"):
            use(checkpoint)

    def test_pickled_code_is_never_run(self, tmp_path, use):
        trace = tmp_path / "trace"

        class Trap:
            def __reduce__(self):
                return trace.touch, ()

        torch.save({"model": Trap()}, tmp_path / "trap.pt")
        (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
        for name in ("trap.pt", "plain.pt"):
            with pytest.raises(InputError, match="cannot be read as weights"):
                use(tmp_path / name)
        assert not trace.exists()

    @pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"epoch": 3}, {"model": [torch.zeros(2)]}])
    def test_no_state_dictionary(self, tmp_path, use, content):
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(InputError, match=r"other\.pt holds no state dictionary"):
            use(tmp_path / "other.pt")


def test_results_are_not_overwritten_unasked(tmp_path):
    refuse_overwriting(tmp_path / "absent", "metrics.json", overwrite=False)
    refuse_overwriting(tmp_path, "metrics.json", overwrite=False)
    (tmp_path / "metrics.json").touch()
    refuse_overwriting(tmp_path, "metrics.json", overwrite=True)
    with pytest.raises(InputError, match=r"already holds metrics\.json; choose another output_dir"):
        refuse_overwriting(tmp_path, "metrics.json", overwrite=False)


def test_weights_are_named_by_their_hash(tmp_path, checkpoint):
    assert weights_sha256(checkpoint) == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    with pytest.raises(InputError, match=r"absent\.pt do not exist"):
        weights_sha256(tmp_path / "absent.pt")
