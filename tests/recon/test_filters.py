"""The ramp filters against what is known of them in closed form."""

import numpy as np
import pytest

from latentct.recon.filters import FILTER_NAMES, padded_length, ramp_response


@pytest.mark.parametrize(("n_bins", "n"), [(1, 2), (256, 512), (257, 1024), (300, 1024)])
def test_padding_is_at_least_twofold(n_bins: int, n: int) -> None:
    assert padded_length(n_bins) == n


def test_ram_lak_is_the_absolute_frequency() -> None:
    frequency = np.fft.rfftfreq(4096, 0.5)
    response = ramp_response(4096, 0.5, "ram-lak")
    np.testing.assert_allclose(response, frequency, atol=1e-3)
    assert 0 < response[0] < 1e-3


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_windows_keep_low_frequencies_and_lower_high_ones(name: str) -> None:
    ratio = ramp_response(1024, 1.0, name) / ramp_response(1024, 1.0, "ram-lak")
    assert ratio[0] == pytest.approx(1.0)
    assert np.all(np.diff(ratio) <= 1e-12)
    at_nyquist = {"ram-lak": 1.0, "shepp-logan": 2 / np.pi, "cosine": 0.0, "hann": 0.0}
    assert ratio[-1] == pytest.approx(at_nyquist[name], abs=1e-12)


def test_arc_kernel_tends_to_the_flat_one() -> None:
    flat = ramp_response(512, 1.0, "ram-lak")
    np.testing.assert_allclose(ramp_response(512, 1.0, "ram-lak", radius_mm=1e6), flat, rtol=1e-6, atol=1e-8)
    assert not np.allclose(ramp_response(512, 1.0, "ram-lak", radius_mm=300.0), flat, rtol=1e-6, atol=1e-8)


def test_unknown_filter_is_refused() -> None:
    with pytest.raises(ValueError, match="hamming"):
        ramp_response(16, 1.0, "hamming")
