"""Networks of the bundles as files that run without this package: TorchScript by tracing, and torch.export.

The networks are those of the staged copies, with the weights that ship, and the exported ones are compared on another
input than the one they were made with. `ckpt_export` of MONAI gives a network one random input, so of the few-view
bundle it exports the autoencoder; the networks of its model are traced and exported with their own inputs. The first
look of its conditioner is a reconstruction by the projector, which no format of torch holds: it is an input. Tracing
does not take the conditioner, which works out sizes in Python.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ckpt_export
from torch import Tensor, nn

from latentct.engines import load_weights
from latentct.geometry import few_view_scans

from .. import checks
from .conftest import Staged

LSR = [bundle.name for bundle in checks.bundle_folders() if not checks.in_stages(bundle)]
FEW_VIEW = "clsdm_sparse_view"
TRACED = ("denoiser", "encoder", "decoder")
TOLERANCE = 1e-5
LATENT = (4, 8, 8, 8)
#: Batches may grow; what else is fixed, a size or the scan, is the bundle's.
BATCH = torch.export.Dim("batch", min=1, max=64)


def network(bundle: Path, net_id: str = "network_def") -> nn.Module:
    parser = checks.parse([bundle / "configs" / "inference.yaml"])
    return load_weights(parser.get_parsed_content(net_id), bundle / "models" / "model.pt")


def random(*shapes: tuple[int, ...], seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(shape, generator=generator) for shape in shapes)


def traced(net: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> Any:
    torch.jit.save(torch.jit.trace(net, inputs), str(path))
    return torch.jit.load(str(path))


def exported(net: nn.Module, inputs: tuple[Tensor, ...], path: Path, dynamic: bool = True) -> Any:
    shapes = tuple({0: BATCH} for _ in inputs) if dynamic else None
    torch.export.save(torch.export.export(net, inputs, dynamic_shapes=shapes), path)
    return torch.export.load(path).module()


def agree(copy: Any, net: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    with torch.no_grad():
        one, other = copy(*inputs), net(*inputs)
    assert one.shape == other.shape
    assert torch.allclose(one, other, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", LSR)
def test_ckpt_export_equals_the_network(name: str, staged: Staged, tmp_path: Path) -> None:
    bundle = staged(name)
    ckpt_export(
        filepath=str(tmp_path / "model.ts"),
        bundle_root=str(bundle),
        config_file=str(bundle / "configs" / "inference.yaml"),
        use_trace=True,
    )
    agree(torch.jit.load(str(tmp_path / "model.ts")), network(bundle), random((2, 1, 128, 128), seed=1))


@pytest.fixture(scope="module")
def exported_prior(staged: Staged, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The prior of the bundles that share it, exported once because that takes ten seconds."""
    path = tmp_path_factory.mktemp("exported") / "model.pt2"
    return exported(network(staged("lsr_truncation")), random((2, 1, 128, 128), seed=0), path)


@pytest.mark.parametrize("name", LSR)
def test_torch_export_equals_the_network(name: str, staged: Staged, exported_prior: Any) -> None:
    agree(exported_prior, network(staged(name)), random((3, 1, 128, 128), seed=1))


class _Encoder(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.encode(x)


class _Decoder(_Encoder):
    def forward(self, z: Tensor) -> Tensor:
        return self.model.decode(z)


class _Conditioner(nn.Module):
    """The condition of the views of one scan and of their first look."""

    def __init__(self, model: Any, scan: Any) -> None:
        super().__init__()
        self.model, self.scan = model, scan

    def forward(self, y: Tensor, look: Tensor) -> Tensor:
        self.model.conditioner.first_look = lambda y, scan: look
        return self.model.condition(y, self.scan)


@pytest.fixture(scope="module")
def few_view_parts(staged: Staged) -> dict[str, tuple[nn.Module, tuple[tuple[int, ...], ...]]]:
    """Networks of the few-view model, and the shapes of their inputs."""
    bundle = staged(FEW_VIEW)
    model = network(bundle)
    machine = checks.parse([bundle / "configs" / "inference.yaml"]).get_parsed_content("machine")
    scan = few_view_scans(machine, [4]).popitem()[1]
    volume, panels = (1, 64, 64, 64), (1, 4, *scan.detector_shape)
    return {
        "denoiser": (model, ((2, *LATENT), (2,), (2, 16, *LATENT[1:]))),
        "encoder": (_Encoder(model), ((2, *volume),)),
        "decoder": (_Decoder(model), ((2, *LATENT),)),
        "conditioner": (_Conditioner(model, scan), ((1, *panels), (1, *volume))),
    }


@pytest.mark.parametrize("part", TRACED)
def test_traced_networks_of_few_views_equal_them(part: str, few_view_parts: dict, tmp_path: Path) -> None:
    net, shapes = few_view_parts[part]
    copy = traced(net, random(*shapes, seed=0), tmp_path / "part.ts")
    agree(copy, net, random(*shapes, seed=1))


@pytest.mark.parametrize("part", [*TRACED, "conditioner"])
def test_exported_networks_of_few_views_equal_them(part: str, few_view_parts: dict, tmp_path: Path) -> None:
    net, shapes = few_view_parts[part]
    copy = exported(net, random(*shapes, seed=0), tmp_path / "part.pt2", dynamic=False)
    agree(copy, net, random(*shapes, seed=1))


def test_ckpt_export_of_few_views_is_of_the_autoencoder(staged: Staged, tmp_path: Path) -> None:
    bundle = staged(FEW_VIEW)
    autoencoder = network(bundle).autoencoder
    torch.save(autoencoder.state_dict(), tmp_path / "autoencoder.pt")
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(tmp_path / "autoencoder.pt"),
        bundle_root=str(bundle),
        config_file=str(bundle / "configs" / "train_autoencoder.yaml"),
        use_trace=True,
        input_shape=[1, 1, 32, 32, 32],
    )
    agree(torch.jit.load(str(tmp_path / "model.ts")), autoencoder, random((1, 1, 32, 32, 32), seed=1))
