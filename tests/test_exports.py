"""What the package offers: exactly the names in `__all__`, each of them documented."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import pytest

import shoal
from shoal import errors, events
from shoal.errors import MissingExtraError


def modules() -> list[str]:
    return ["shoal", *(module.name for module in pkgutil.walk_packages(shoal.__path__, "shoal."))]


def load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except MissingExtraError as error:
        pytest.skip(str(error))


def public_names(module: ModuleType) -> set[str]:
    """The classes and functions that a module defines under a name without an underscore; pytest's hooks are none."""
    return {
        name
        for name, value in vars(module).items()
        if is_definition(name, value) and not name.startswith(("_", "pytest_")) and value.__module__ == module.__name__
    }


def is_definition(name: str, value: Any) -> bool:
    """Whether it is a class or a function of that very name."""
    return (inspect.isclass(value) or inspect.isfunction(value)) and bool(value.__name__ == name)


def test_the_package_offers_the_names_it_lists_and_no_others() -> None:
    offered = {name for name, value in vars(shoal).items() if not name.startswith("_") and not inspect.ismodule(value)}

    assert offered | {"__version__"} == set(shoal.__all__)


def test_the_package_offers_every_error_and_every_event() -> None:
    assert {*errors.__all__, *events.__all__} <= set(shoal.__all__)


def test_no_name_is_listed_twice() -> None:
    assert sorted(shoal.__all__) == sorted(set(shoal.__all__))


@pytest.mark.parametrize("name", [name for name in modules() if not name.endswith("__main__")])
def test_a_module_lists_what_it_defines_and_documents_it(name: str) -> None:
    module = load(name)
    listed: list[str] = getattr(module, "__all__", [])

    assert inspect.getdoc(module), f"{name} has no docstring"
    assert public_names(module) <= set(listed), f"{name}: list it in __all__, or begin it with an underscore"
    for each in listed:
        thing = getattr(module, each)
        assert thing.__doc__ or not is_definition(each, thing), f"{name}.{each} has no docstring"


@pytest.mark.parametrize("name", shoal.__all__)
def test_every_public_member_of_what_users_hold_is_documented(name: str) -> None:
    thing = getattr(shoal, name)
    if not inspect.isclass(thing):
        return
    for member, value in inspect.getmembers(thing):
        is_own = inspect.isroutine(value) or isinstance(value, property)
        if is_own and not {member[0], getattr(value, "__name__", member)[0]} & {"_"}:
            assert inspect.getdoc(value), f"{name}.{member} has no docstring"
