"""Bad requests get one sentence of ours, whatever serves them."""

import os
import re
import tracemalloc

import pytest

from latentct.errors import InputError
from latentct.serving import answered, input_example, read_requests

from .malformed import MAX_MB, PATIENT, malformed


@pytest.fixture
def served_root(tmp_path, monkeypatch):
    root = tmp_path / "served"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    monkeypatch.setenv("LATENTCT_SERVE_ROOT", str(root))
    monkeypatch.setenv("LATENTCT_SERVE_MAX_MB", str(MAX_MB))
    return root


def test_each_is_refused_before_memory_is_taken(corrector, staged, served_root):
    cases = list(malformed(input_example(staged), served_root, served_root.parent / "outside"))
    assert len(cases) >= 30
    tracemalloc.start()
    try:
        for name, body, words in cases:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with pytest.raises(InputError) as refusal:
                [answered(corrector, request) for request in read_requests(body["inputs"])]
            sentence = str(refusal.value)
            assert words in sentence, name
            assert "\n" not in sentence and len(sentence) < 300 and sentence.endswith("."), name
            assert PATIENT not in sentence and str(served_root.parent) not in sentence, name
            if name != "the second of two is bad":
                assert tracemalloc.get_traced_memory()[1] - before < 5e7, name
    finally:
        tracemalloc.stop()


def test_a_scan_below_the_folder_is_found(corrector, staged, served_root):
    import numpy as np

    from latentct.io.projections import Projections, write_projections
    from latentct.io.scan_geometry import read_geometry

    example = input_example(staged)
    y = np.array([example["sinogram"]], np.float32)
    write_projections(served_root / "deep" / "a scan.npz", Projections(y, read_geometry(example["geometry"], "x")))
    (served_root / "link.npz").symlink_to(served_root / "deep" / "a scan.npz")
    root = os.fspath(served_root)
    uris = ("deep/a scan.npz", f"{root}/deep/a scan.npz", f"file://{root}/deep/a%20scan.npz", "link.npz")
    requests = read_requests([{"scan_uri": uri, "ray_mask": example["ray_mask"], "answer": "lists"} for uri in uris])
    answers = [answered(corrector, request) for request in requests]
    expected = answered(corrector, read_requests([example])[0])
    assert all(answer == expected for answer in answers)


def test_without_a_folder_no_path_is_served(corrector, monkeypatch):
    monkeypatch.delenv("LATENTCT_SERVE_ROOT", raising=False)
    with pytest.raises(InputError, match=re.escape("the server opens no folder (LATENTCT_SERVE_ROOT)")):
        answered(corrector, read_requests([{"scan_uri": "/etc/passwd"}])[0])


@pytest.mark.parametrize("text", ["many", "0", "-3", "1.5"])
def test_a_bad_limit_is_named(corrector, staged, monkeypatch, text):
    monkeypatch.setenv("LATENTCT_SERVE_MAX_MB", text)
    with pytest.raises(InputError, match=f"LATENTCT_SERVE_MAX_MB is '{text}'"):
        answered(corrector, read_requests([input_example(staged)])[0])
