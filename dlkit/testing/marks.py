"""The checks as pytest items; pytest is imported here and nowhere else in dlkit."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from dlkit.testing.items import Item, NotApplicable, items_of

if TYPE_CHECKING:
    import pytest


def parametrize_with_checks(*names: str, only: str = "*", slow: bool = True) -> Callable[[Any], Any]:
    """Run a test once for each check of what the names stand for, each named ``NAME-CHECK``.

    Args:
        names: of techniques, augmenters…, entry points or distributions; they must be installed.
        only: checks whose name matches this pattern.
        slow: those that take seconds as well, with the mark ``slow``, which a package registers in its configuration
            of pytest and may leave out with ``-m "not slow"``.

    Returns:
        A decorator of a test function with an argument ``check``, which it calls.
    """
    import pytest

    items = [item for name in names for item in items_of(name, only) if slow or not item.check.slow]
    mark = pytest.mark.parametrize("check", [_parameter(item) for item in items])

    def decorate(function: Callable[..., None]) -> Any:
        @wraps(function)
        def test(*arguments: Any, **keywords: Any) -> None:
            try:
                function(*arguments, **keywords)
            except NotApplicable as reason:
                pytest.skip(str(reason))

        return mark(test)

    return decorate


def _parameter(item: Item) -> Any:
    import pytest

    marks: list[pytest.MarkDecorator] = [pytest.mark.slow] if item.check.slow else []
    if item.exception:
        marks.append(pytest.mark.skip(reason=f"declared exception: {item.exception}"))
    return pytest.param(item, id=item.id, marks=marks)
