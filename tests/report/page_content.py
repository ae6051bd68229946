"""A small page, that the tests of its text and of its controls share."""

import numpy as np

from latentct.report.page import Convergence, PageContent, Sinogram, Table, Volumes

SHAPE = (6, 8, 10)
SPACING_MM = (3.0, 2.0, 1.0)


def affine_lps_mm() -> np.ndarray:
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = SPACING_MM
    affine[:, 3] = (-5.0, -8.0, 100.0, 1.0)
    return affine


def volumes() -> Volumes:
    """Voxels that all differ, among them air and metal, of which the last two columns rest on synthesised rays."""
    before_hu = np.linspace(-1000, 3000, np.prod(SHAPE)).reshape(SHAPE).astype(np.float32)
    synthesised = np.zeros(SHAPE, bool)
    synthesised[..., 8:] = True
    after_hu = before_hu + np.where(synthesised, 150.4, -60.0).astype(np.float32)
    uncertainty_hu = np.where(synthesised, 75.0, 0.0).astype(np.float32)
    return Volumes(before_hu, after_hu, affine_lps_mm(), synthesised, uncertainty_hu)


def content(text: str = "text") -> PageContent:
    """Fill a whole page; `text` stands in every place where a caller may put text."""
    y = np.linspace(0, 5, 60).reshape(5, 12).astype(np.float32)
    rows = ((text, text),)
    return PageContent(
        task=text,
        date=text,
        software=text,
        statement=text,
        findings=(text, text),
        volumes=volumes(),
        geometry=rows,
        method=rows,
        provenance=rows,
        figures=Table((text, text), (rows[0],)),
        sinogram=Sinogram(y, y > 1, text),
        convergence=Convergence(np.geomspace(100, 1, 20)[None], text),
    )
