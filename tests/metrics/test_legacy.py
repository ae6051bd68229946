"""Legacy figures are what the old code computes."""

import math

import pytest
import torch

from latentct.metrics import legacy_x2ct


def test_legacy_psnr_as_the_old_tables_have_it() -> None:
    """Stored values 0 to 2500, peak 4095, written out once more."""
    generator = torch.Generator().manual_seed(0)
    x_hu = 1500 * torch.randn(2, 1, 4, 8, 8, generator=generator)
    x_hat_hu = x_hu + 100 * torch.randn(2, 1, 4, 8, 8, generator=generator)
    region = torch.ones(4, 8, 8, dtype=torch.bool)
    result = legacy_x2ct(x_hat_hu, x_hu, region)
    for i in range(2):
        stored_hat, stored = ((x[i] + 1000).clamp(0, 2500).double() for x in (x_hat_hu, x_hu))
        mean_square = (stored_hat - stored).square().mean().item()
        assert result["legacy_x2ct_psnr"][i].item() == pytest.approx(10 * math.log10(4095**2 / mean_square), abs=1e-3)
        assert result["psnr"][i].item() == pytest.approx(10 * math.log10(2500**2 / mean_square), abs=1e-3)


def test_the_legacy_figure_flatters_by_4_29_db_within_the_region() -> None:
    x_hu = torch.zeros(4, 4)
    x_hat_hu = torch.full((4, 4), 25.0)
    x_hat_hu[0] = 1e4
    region = torch.ones(4, 4, dtype=torch.bool)
    region[0] = False
    result = legacy_x2ct(x_hat_hu, x_hu, region)
    assert result["psnr"].item() == pytest.approx(40.0, abs=1e-4)
    assert (result["legacy_x2ct_psnr"] - result["psnr"]).item() == pytest.approx(4.29, abs=0.005)
