"""The code of a registered model, in this process."""

import importlib.util
import logging
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException

from latentct.serving import answered, input_example, read_requests

from ..answers import assert_same_answer
from ..checks import ROOT
from .malformed import PATIENT


@pytest.fixture(scope="module")
def model(staged):
    path = ROOT / "src" / "latentct" / "tracking" / "served_model.py"
    spec = importlib.util.spec_from_file_location("served_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loaded = module.BundleModel()
    loaded.load_context(SimpleNamespace(artifacts={"bundle": str(staged)}))
    return loaded


def refusal_of(model, data) -> MlflowException:
    with pytest.raises(MlflowException) as refusal:
        model.predict(None, data)
    return refusal.value


def test_it_answers_as_the_corrector(model, corrector, staged):
    example = input_example(staged)
    (answer,) = model.predict(None, [example])
    assert_same_answer(answer, answered(corrector, read_requests([example])[0]))


def test_mlflow_cannot_put_what_was_sent_into_a_refusal(model):
    refusal = refusal_of(model, [{"scan_uri": PATIENT}])
    refusal.message = f"Failed to predict data '{PATIENT}'."
    assert refusal.get_http_status_code() == 400
    assert refusal.message.startswith("scan_uri is not served")
    assert PATIENT not in refusal.serialize_as_json()


def test_a_failure_of_ours_is_no_fault_of_the_client(model, staged, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError(PATIENT)

    monkeypatch.setattr(model._corrector.method, "correct", fail)
    with caplog.at_level(logging.ERROR, "latentct"):
        refusal = refusal_of(model, [input_example(staged)])
    assert refusal.get_http_status_code() == 500
    assert refusal.message == "the model failed on this request; the log of the server says where."
    assert PATIENT not in caplog.text
    assert "RuntimeError at test_served_model.py" in caplog.text


def test_the_signature_names_every_key(model):
    from mlflow.types.type_hints import _infer_schema_from_list_type_hint

    schema = _infer_schema_from_list_type_hint(model.predict_type_hints.input)
    names = {item.name for item in schema.inputs[0].type.properties}
    assert names == {"sinogram", "scan_uri", "scan_base64", "format", "geometry", "ray_mask", "answer"}
    assert not any(item.required for item in schema.inputs[0].type.properties)
