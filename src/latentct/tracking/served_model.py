"""The code of a registered model: MLflow runs this file to load one. Nothing imports it."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel

from latentct.errors import InputError
from latentct.serving import ScanRequest, answered, input_example, load_corrector, read_requests

_log = logging.getLogger("latentct.serving")


class Refused(MlflowException):
    """A request that is answered with one sentence, to which MLflow cannot add the content of the request."""

    @property
    def message(self) -> str:
        """The sentence."""
        return str(self.args[0])

    @message.setter
    def message(self, _: str) -> None:
        """Keep the sentence; MLflow would put everything that was sent before it."""


class _Predicting:
    """What a model does. Apart from MLflow's class, which checks requests of its own predict and repeats them whole."""

    def load_context(self, context: Any) -> None:
        """Load the bundle, and correct a small scan once so that the first request does not wait for compilers."""
        root = context.artifacts["bundle"]
        self._corrector = load_corrector(root)
        # One thread for all requests: those of a server would each keep pools of torch and numba, and share cores.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="latentct")
        self.predict(context, [ScanRequest(**input_example(root))])

    def predict(
        self, context: Any, model_input: list[ScanRequest], params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Answer requests, one after the other; see `latentct.serving`."""
        return self._worker.submit(self._answers, model_input).result()

    def _answers(self, model_input: Any) -> list[dict[str, Any]]:
        try:
            return [answered(self._corrector, request) for request in read_requests(model_input)]
        except InputError as error:
            raise Refused(str(error), INVALID_PARAMETER_VALUE) from None
        except Exception as error:
            place = _place(error)
            _log.error("a request failed: %s at %s", type(error).__name__, place)  # the message may hold what was sent
            raise Refused(
                "the model failed on this request; the log of the server says where.",
                INTERNAL_ERROR,
            ) from None


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


class BundleModel(_Predicting, PythonModel):
    """A bundle behind MLflow."""


set_model(BundleModel())
