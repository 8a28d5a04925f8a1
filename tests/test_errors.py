import copy
import pickle

import pytest

from shoal import errors
from shoal.errors import (
    ConfigError,
    InvalidAddressError,
    MessageTooLargeError,
    MissingExtraError,
    ShoalError,
    ShoalTimeoutError,
    TransportError,
    UnknownMemberError,
)


def _tree(text: str) -> dict[str, str | None]:
    """Each class that the drawn tree names, with the one that it hangs on."""
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in text.splitlines():
        drawing, _, rest = line.rpartition("── ") if "── " in line else ("", "", line.strip())
        name = rest.split()[0] if rest else ""
        if name.endswith("Error"):
            depth = (len(drawing) - 1) // 4 if drawing else 0
            above[depth:] = [name]
            parents[name] = above[depth - 1] if depth else None
    return parents


def test_the_tree_is_as_the_module_draws_it() -> None:
    drawn = _tree(errors.__doc__ or "")
    assert sorted(drawn) == sorted(errors.__all__)
    for name, parent in drawn.items():
        cls = getattr(errors, name)
        assert issubclass(cls, ShoalError)
        if parent is not None:
            assert cls.__bases__[0].__name__ == parent


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigError, ValueError),
        (InvalidAddressError, ValueError),
        (MessageTooLargeError, ValueError),
        (UnknownMemberError, LookupError),
        (ShoalTimeoutError, TimeoutError),
        (MissingExtraError, ImportError),
        (TransportError, OSError),
    ],
)
def test_an_error_is_also_what_python_would_raise(error: type[ShoalError], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("probe_interval", 61, "must be 0.01 to 60 seconds"),
        InvalidAddressError("x", "the port is missing"),
        MessageTooLargeError("tag set", 600, 512, "max_tag_bytes"),
        MissingExtraError("shoal agent", "http"),
        *(
            getattr(errors, name)("why")
            for name in errors.__all__
            if name not in {"ConfigError", "InvalidAddressError", "MessageTooLargeError", "MissingExtraError"}
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_crosses_processes_as_it_is(error: ShoalError) -> None:
    error.add_note("seen in a worker")

    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - its own bytes
        assert type(copied) is type(error)
        assert (str(copied), copied.args, vars(copied)) == (str(error), error.args, vars(error))


def test_messages_name_the_thing_the_value_and_the_limit() -> None:
    assert str(ConfigError("probe_interval", 61, "must be 0.01 to 60 seconds")) == (
        "probe_interval = 61: must be 0.01 to 60 seconds"
    )
    assert str(MessageTooLargeError("tag set", 600, 512, "max_tag_bytes")) == (
        "tag set has 600 bytes, the limit is 512 (max_tag_bytes)"
    )
    assert (
        str(MissingExtraError("shoal agent", "http")) == "shoal agent needs the extra 'http': pip install 'shoal[http]'"
    )
