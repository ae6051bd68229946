import numpy as np

from latentct.io.image import CTImage


def test_the_spacing_is_read_from_the_columns_of_the_affine():
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = 3.0, 2.0, 1.5, 1.0
    assert CTImage(np.zeros((1, 2, 3), np.float32), affine).spacing_mm == (3.0, 2.0, 1.5)


def test_what_may_hold_patient_data_is_not_shown():
    image = CTImage(np.zeros((1, 1, 1), np.float32), np.eye(4), source="DOE^JANE")
    assert "DOE" not in repr(image)
