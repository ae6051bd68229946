"""The Gaussian blur against scipy's."""

import torch
from scipy import ndimage

from latentct.metrics.gaussian import blur


def test_agrees_with_scipy() -> None:
    x = torch.randn(2, 1, 20, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for sigma_px, radius_px in ((0.4, 2), (1.5, 5)):
        expected = ndimage.gaussian_filter(x.numpy(), (0, 0, sigma_px, sigma_px), radius=radius_px, mode="nearest")
        torch.testing.assert_close(blur(x, sigma_px, radius_px), torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_volumes_are_blurred_along_three_axes() -> None:
    x = torch.randn(2, 1, 9, 12, 14, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = ndimage.gaussian_filter(x.numpy(), (0, 0, 1.5, 1.5, 1.5), radius=5, mode="nearest")
    torch.testing.assert_close(blur(x, 1.5, 5, n_axes=3), torch.from_numpy(expected), rtol=0, atol=1e-12)
