import pytest

from latentct.bundle import stage_bundle
from latentct.errors import InputError
from latentct.workflow.prior import BUNDLES, load_prior

from ..checks import ROOT


@pytest.mark.parametrize("name", BUNDLES.values())
def test_every_task_has_a_prior_that_comes_with_the_package(name):
    corrector = load_prior(name, "cpu")
    assert corrector.model["weights_sha256"]["model.pt"]
    assert corrector.method.device.type == "cpu"


def test_a_copy_is_loaded_as_it_is_and_refused_when_its_weights_changed(tmp_path):
    copy = stage_bundle(ROOT / "bundles" / "lsr_metal", tmp_path / "copy").root
    assert load_prior("lsr_truncation", bundle=copy).model["name"] == "LSR metal"
    (copy / "models" / "model.pt").write_bytes(b"other")
    with pytest.raises(InputError, match=r"model\.pt"):
        load_prior("lsr_truncation", bundle=copy)


@pytest.mark.parametrize("device", ["warp9", "cuda:99", "", "meta"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(InputError, match="--device"):
        load_prior("lsr_truncation", device)
