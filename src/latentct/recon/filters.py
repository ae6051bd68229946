"""Ramp filters of filtered back-projection, sampled in space so that the mean of the image comes out right."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

FILTER_NAMES = ("ram-lak", "shepp-logan", "cosine", "hann")


def padded_length(n_bins: int) -> int:
    """Return the power of two, at least ``2 * n_bins``, at which a cyclic convolution is a linear one.

    >>> padded_length(300)
    1024
    """
    return 1 << (2 * n_bins - 1).bit_length()


def ramp_response(n: int, bin_mm: float, filter_name: str, radius_mm: float | None = None) -> FloatArray:
    """Return the frequency response of a ramp filter, the bin width of the convolution sum included.

    The band-limited ramp is sampled in space, ``h(0) = 1 / (4 d^2)``, ``h(k d) = -1 / (pi k d)^2`` for odd ``k`` and 0
    for even ``k`` (Kak and Slaney 1988, ch. 3, doi 10.1137/1.9780898719277), and windowed in frequency. A ramp sampled
    in frequency instead would lose the mean of the image.

    Args:
        n: Length of the cyclic convolution, even.
        bin_mm: Distance ``d`` of neighbouring samples in mm.
        filter_name: One of ``FILTER_NAMES``: "ram-lak" is the ramp alone; the others lower its upper frequencies.
        radius_mm: For samples equally spaced on an arc, the radius of the arc; the kernel at the angle ``g`` is then
            multiplied by ``(g / sin g)^2``.

    Returns:
        Real response at the frequencies of ``rfft``, shape (n // 2 + 1,), in 1/mm.

    Raises:
        ValueError: The filter is not known.
    """
    lag = np.fft.fftfreq(n, 1 / n)
    kernel = np.zeros(n)
    odd = lag % 2 == 1
    kernel[odd] = -1 / (np.pi * lag[odd] * bin_mm) ** 2
    kernel[0] = 1 / (4 * bin_mm**2)
    if radius_mm is not None:
        angle_rad = np.clip(lag * bin_mm / radius_mm, -np.pi / 2, np.pi / 2)
        kernel /= np.sinc(angle_rad / np.pi) ** 2
    response: FloatArray = np.fft.rfft(kernel).real * bin_mm * _window(n, filter_name)
    return response


def _window(n: int, filter_name: str) -> FloatArray:
    """Return the window of a filter at the frequencies of ``rfft``; 1 at zero frequency."""
    nyquist = np.linspace(0.0, 1.0, n // 2 + 1)
    windows = {
        "ram-lak": np.ones_like(nyquist),
        "shepp-logan": np.sinc(nyquist / 2),
        "cosine": np.cos(np.pi / 2 * nyquist),
        "hann": np.cos(np.pi / 2 * nyquist) ** 2,
    }
    if filter_name not in windows:
        raise ValueError(f"unknown filter {filter_name!r}; choose one of {', '.join(FILTER_NAMES)}")
    return windows[filter_name]
