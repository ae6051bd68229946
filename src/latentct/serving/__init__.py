"""A scan in, the corrected image and what was synthesised out: what a served model does, without the server."""

from latentct.serving.answer import answered
from latentct.serving.corrector import Corrector, load_corrector
from latentct.serving.example import input_example
from latentct.serving.request import ScanRequest, read_requests

__all__ = ["Corrector", "ScanRequest", "answered", "input_example", "load_corrector", "read_requests"]
