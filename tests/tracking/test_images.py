"""Panels of image | reconstruction | difference."""

import numpy as np

from latentct.tracking.images import GAP_PX, comparison_panel


def test_window_and_signed_difference_have_the_right_greys() -> None:
    image_hu = np.zeros((4, 6))
    recon_hu = np.full((4, 6), 100.0)
    panel = comparison_panel([(image_hu, recon_hu)], (-200.0, 200.0), 200.0)
    assert panel.dtype == np.uint8
    assert panel.shape == (4 + 2 * GAP_PX, 3 * (6 + 2 * GAP_PX))
    width = 6 + 2 * GAP_PX
    centres = [panel[4, column * width + width // 2] for column in range(3)]
    assert centres == [128, 191, 191]


def test_values_outside_the_window_saturate() -> None:
    panel = comparison_panel([(np.full((2, 2), -2000.0), np.full((2, 2), 5000.0))], (-1000.0, 1000.0), 100.0)
    width = 2 + 2 * GAP_PX
    assert [panel[GAP_PX, column * width + GAP_PX] for column in range(3)] == [0, 255, 255]


def test_of_a_volume_the_middle_slice_is_shown() -> None:
    volume_hu = np.stack([np.full((2, 2), value) for value in (-1000.0, 1000.0, -1000.0)])[None]
    panel = comparison_panel([(volume_hu, volume_hu)], (-1000.0, 1000.0), 100.0)
    assert panel[GAP_PX, GAP_PX] == 255
