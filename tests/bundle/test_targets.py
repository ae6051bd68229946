"""What is told without importing is what importing tells."""

import inspect
from pydoc import locate

import pytest
from monai.bundle.config_item import ComponentLocator

from latentct.bundle.configs import read_config
from latentct.bundle.modules import Definition, Module, find, find_module, monai_names
from latentct.bundle.stacks import components
from latentct.bundle.targets import parameters, target_fault

from .. import checks

TARGETS = sorted(
    {
        component["_target_"]
        for file in checks.ROOT.glob("bundles/*/configs/*.yaml")
        for _, component in components(read_config(file))
    }
)


@pytest.fixture(scope="module")
def locator():
    return ComponentLocator()


@pytest.mark.parametrize("target", TARGETS)
def test_arguments_are_those_of_the_imported_thing(target, locator):
    module = locator.get_component_module_name(target) if "." not in target else None
    module = module[0] if isinstance(module, list) else module
    thing = locate(f"{module}.{target}" if module else target)
    taken = inspect.signature(thing).parameters.values()
    expected = {parameter.name for parameter in taken if parameter.kind is not parameter.POSITIONAL_ONLY}
    told = parameters(find(f"{module}.{target}" if module else target))
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken)
    assert anything or told == expected
    assert target_fault(target, frozenset(told or ())) is None
    assert (target_fault(target, frozenset({"no_such_argument"})) is None) is (told is None)


def test_monais_names_are_those_it_finds_itself(locator):
    locator.get_component_module_name("LoadImaged")
    own = monai_names()
    unknown = [
        name
        for name, modules in locator._components_table.items()
        if name not in own and not any("monai.apps" in module or "._" in module for module in modules)
    ]
    assert len(unknown) < len(own) / 200, unknown


MADE = """
import abc
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeVar

from .other import *
from . import other as alias
from .other import base as renamed

T = TypeVar("T")

class Plain: ...
class Empty(abc.ABC, Generic[T]): ...
class Own(Plain):
    def __init__(self, a, /, b, *args, c=1): ...
    @classmethod
    def make(cls, d): ...
    @staticmethod
    def build(e): ...
class Below(Own): ...
class Far(renamed): ...
class Farther(alias.base): ...
@dataclass(frozen=True)
class Data:
    x: int
    y: ClassVar[int] = 1
    z: int = field(default=1, init=False)
@dataclass
class More(Data):
    w: int = 2
class New:
    def __new__(cls, a): ...
def free(a, **kwargs): ...
again = free
try:
    import nothing_that_exists
    def guarded(a): ...
except ImportError:
    def guarded(b): ...
value = 3
Worked = make_class()
class OfWorked(Worked): ...
"""
OTHER = "def starred(s): ...\nclass base:\n    def __init__(self, f): ...\n"
EXPECTED = {
    "Plain": set(), "Empty": set(), "Own": {"b", "c"}, "Below": {"b", "c"}, "Far": {"f"}, "Farther": {"f"},
    "Data": {"x"}, "More": {"x", "w"}, "New": None, "free": None, "again": None, "guarded": {"b"}, "starred": {"s"},
    "renamed": {"f"}, "value": None, "OfWorked": None, "Own.make": {"d"}, "Own.build": {"e"}, "Below.make": {"d"},
}  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "made_for_targets"
    folder.mkdir()
    (folder / "__init__.py").write_text(MADE)
    (folder / "other.py").write_text(OTHER)
    monkeypatch.syspath_prepend(tmp_path)
    yield "made_for_targets"
    find_module.cache_clear()


@pytest.mark.parametrize(("name", "taken"), EXPECTED.items(), ids=EXPECTED)
def test_arguments_of_every_kind_of_definition(package, name, taken):
    found = find(f"{package}.{name}")
    assert found is not None
    assert parameters(found) == taken


def test_what_does_not_exist_is_not_found(package):
    assert isinstance(find(f"{package}.other"), Module)
    assert isinstance(find(f"{package}.other.base"), Definition)
    for name in ("nothing", "Plain.nothing", "free.nothing", "other.Plain"):
        assert find(f"{package}.{name}") is None
    assert find("no_such_package.thing") is None
    assert (
        target_fault(f"{package}.Onw", frozenset())
        == "_target_ 'made_for_targets.Onw' does not exist (did you mean 'Own'?)"
    )
