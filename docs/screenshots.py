"""Take pictures of MLflow's pages with the project's runs, for the documents, in a real browser.

    pip install -c constraints.txt -e ".[docs]"
    mlflow --env-file mlflow/server.env server &
    python docs/screenshots.py --url http://127.0.0.1:5000 --experiment lsr_truncation

Opens the pages of a running server in Chromium, as Debian installs it, and writes `docs/images/mlflow_*.png`: the last
training and inference of an experiment, and the registered model of the same name. Nothing on the server is changed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from browser import IMAGES, PROGRAM, open_browser
from mlflow import MlflowClient
from playwright.sync_api import Page

SIZE_PX = {"width": 1280, "height": 800}
DRAWN_MS = 8000
"""The page polls for ever, so that no event tells when it is drawn."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("MLFLOW_TRACKING_URI"), help="address of the MLflow server")
    parser.add_argument("--experiment", default="lsr_truncation", help="experiment and registered model that are shown")
    parser.add_argument("--browser", default=PROGRAM, help="program of the browser")
    given = parser.parse_args(arguments)
    with open_browser(given.browser) as chromium:
        page = chromium.new_page(viewport=SIZE_PX)
        _settle(page, given.url)
        for name, place in _places(given.url, given.experiment).items():
            page.goto(f"{given.url}/{place}")
            page.wait_for_timeout(DRAWN_MS)
            page.screenshot(path=IMAGES / f"mlflow_{name}.png")
            print(IMAGES / f"mlflow_{name}.png")


def _settle(page: Page, url: str) -> None:
    """Choose MLflow's pages for training, and put away its assistant; the browser keeps both choices."""
    page.goto(url)
    page.get_by_text("Model training", exact=True).first.click(timeout=30_000)
    page.wait_for_timeout(DRAWN_MS)
    page.get_by_role("button", name="Close", exact=True).click()


def _places(url: str, experiment: str) -> dict[str, str]:
    """Return {name of the picture: place on the server}."""
    client = MlflowClient(tracking_uri=url)
    number = client.get_experiment_by_name(experiment).experiment_id

    def last(stage: str) -> str:
        runs = client.search_runs([number], f"tags.stage = '{stage}' and status = 'FINISHED'", max_results=1)
        return f"#/experiments/{number}/runs/{runs[0].info.run_id}"

    return {
        "runs": f"#/experiments/{number}/runs",
        "training": last("train"),
        "curves": f"{last('train')}/model-metrics",
        "figure": f"{last('infer')}/artifacts/results/figure.png",
        "model": f"#/models/{experiment}",
    }


if __name__ == "__main__":
    main()
