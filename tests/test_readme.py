"""The README's Python runs, and what its text names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CONVENTIONS.md", "CHANGELOG.md",
    "docs/correct.md", "docs/formats.md", "docs/mlflow.md", "mlflow/README.md",
)  # fmt: skip


def test_the_python_example_reconstructs_the_sample():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(code, names)
    error_hu = (names["x_hat_hu"][:, 0] - names["x_mu"].new_tensor(names["x_hu"]))[:, 96:160, 96:160].mean()
    assert abs(error_hu) < 10


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
    assert all((ROOT / page).parent.joinpath(target).exists() for target in targets if "://" not in target)


@pytest.mark.parametrize("page", PAGES)
def test_paths_named_in_code_exist(page):
    text = (ROOT / page).read_text()
    paths = re.findall(r"`((?:src|bundles|data_manifests|tests|benchmarks|\.ci)/[\w./-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_make_targets_named_in_the_pages_exist():
    rules = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:^    |`)make (\w+)", (ROOT / page).read_text(), re.M)}
    assert named and named <= rules
