"""What a record may not contain."""

from pathlib import Path

import pytest

from latentct.tracking.privacy import Redactor, identifiers


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/tmp/results/Jane Doe", "<path>"),
        ("/tmp/results/train.yaml", "<path>/train.yaml"),
        ("/tmp/scans/jane.nii.gz", "<path>"),
        ("~/scans/jane", "<path>"),
        ("C:\\Users\\jane\\scan", "<path>"),
        ("read /tmp/a/b.json first", "read <path>/b.json first"),
        ("$glob.glob('/tmp/Jane Doe/*')", "$glob.glob('<path>')"),
        ("ct/jane.nii.gz is missing", "<image> is missing"),
    ],
)
def test_paths_and_image_files_go(text: str, kept: str) -> None:
    assert Redactor()(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "$@bundle_root + '/models/model.pt'",
        "$@output_dir + '/eval'",
        "https://doi.org/10.1002/mp.17910",
        "10.1002/mp.17910",
        "L1 / KL: 0.1/0.2",
        "bundles/lsr_truncation/configs/train.yaml",
        "z: a latent",
    ],
)
def test_what_is_no_path_stays(text: str) -> None:
    assert Redactor()(text) == text


def test_identifiers_go_as_whole_words_only() -> None:
    redact = Redactor(["pt_1", "pt_12", "7"])
    assert redact("pt_12 and pt_1, pt_123, 7 epochs") == "<patient> and <patient>, pt_123, 7 epochs"


def test_identifiers_of_a_manifest_are_volumes_and_patients() -> None:
    volumes = [{"id": "a", "patient": "p", "group": "body"}, {"id": "b", "patient": "p", "group": "body"}]
    assert identifiers(volumes) == {"a", "b", "p"}


def test_tree_keeps_numbers_and_hides_objects() -> None:
    tree = {"a": [1, 2.5, None, True], "b": Path("/tmp/x/y"), "c": object()}
    assert Redactor().tree(tree) == {"a": [1, 2.5, None, True], "b": "<path>", "c": "object"}
