"""What docs/correct.md shows is there: commands with their options, links, pictures, and the script that made them."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from latentct.cli.main import app
from latentct.workflow.plan import TASKS

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "correct.md").read_text()
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
PICTURE_BYTES = 400_000


@pytest.mark.parametrize("line", LINES)
def test_commands_are_accepted(line):
    program, name, *arguments = shlex.split(line)
    assert program == "latentct"
    given = typer.main.get_command(app).commands[name].make_context(name, arguments).params
    assert given.get("task") in (None, "auto", "none", *TASKS)


def test_options_in_the_text_exist():
    correct = typer.main.get_command(app).commands["correct"]
    known = {option for parameter in correct.params for option in (*parameter.opts, *parameter.secondary_opts)}
    named = set(re.findall(r"`(--[\w-]+)", PAGE))
    assert named and named <= known
    assert all(f"`{task}`" in PAGE for task in TASKS)


def test_every_command_of_the_pictures_is_on_the_page():
    script = ast.parse((DOCS / "report_pictures.py").read_text())
    (commands,) = (
        ast.literal_eval(node.value)
        for node in script.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMMANDS"
    )
    shown = [re.sub(r" --json \S+", "", f"latentct {command}") for command in commands.values()]
    assert shown and [line for line in shown if line not in LINES] == []


def test_links_lead_somewhere_and_paths_exist():
    paths = [DOCS / link for link in re.findall(r"\]\(([^)#]+)\)", PAGE)]
    paths += [DOCS.parent / path for path in re.findall(r"`((?:src|docs|data_manifests)/[\w./-]*)`", PAGE)]
    assert paths and [path for path in paths if not path.exists()] == []


def test_every_picture_of_a_report_is_shown_and_small():
    shown = {DOCS / link for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE)}
    assert shown == set(DOCS.glob("images/report_*.png"))
    assert all(picture.stat().st_size < PICTURE_BYTES for picture in shown)
