"""What a record may not contain."""

from pathlib import Path

import pytest

from latentct.tracking.privacy import Redactor, identifiers, places


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


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("cannot read {0}/Jane Doe. Please install a reader", "cannot read <path> Please install a reader"),
        ("no {0}/Jane Doe/such file here", "no <path> file here"),
        ("see {0}/Jane Doe/CT of Jane.dcm, {0}/a.json", "see <path>, <path>/a.json"),
        ("near {0}/Jane Doe: " + "x" * 5000, "near <path> " + "x" * 5000),
    ],
)
def test_blanks_in_a_path_are_followed_as_far_as_it_is_on_disk(tmp_path: Path, text: str, kept: str) -> None:
    (tmp_path / "Jane Doe").mkdir()
    (tmp_path / "Jane Doe" / "CT of Jane.dcm").touch()
    assert Redactor()(text.format(tmp_path)) == kept


def test_places_of_a_configuration_go_wherever_they_are_paths() -> None:
    config = {"dataset_dir": "scans/jane", "output_dir": "$@bundle_root + '/eval'", "projections": None, "seed": 1}
    assert places(config) == {"scans/jane"}
    redact = Redactor(places=["scans/jane", "out"])
    assert redact("scans/jane") == "<path>"
    assert redact("no scans/jane/IM1, see out/jane/log.json; ran out of memory") == (
        "no <path>, see <path>/log.json; ran out of memory"
    )


def test_tree_keeps_numbers_and_hides_objects() -> None:
    tree = {"a": [1, 2.5, None, True], "b": Path("/tmp/x/y"), "c": object()}
    assert Redactor().tree(tree) == {"a": [1, 2.5, None, True], "b": "<path>", "c": "object"}
