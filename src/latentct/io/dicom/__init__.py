"""DICOM CT series in patient axes, and series derived from them; nothing else imports pydicom."""

from latentct.errors import InputError

try:
    import pydicom  # noqa: F401
except ImportError as error:
    raise InputError("DICOM files need pydicom, which is not installed; run pip install 'latentct[dicom]'.") from error

from latentct.io.dicom.read import DicomSource, read_series
from latentct.io.dicom.series import SeriesSummary, choose_series, find_series
from latentct.io.dicom.write import write_series

__all__ = ["DicomSource", "SeriesSummary", "choose_series", "find_series", "read_series", "write_series"]
