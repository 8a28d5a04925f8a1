"""The secret that requests to an agent's API must show, and where both sides take it from."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from shoal.errors import ConfigError
from shoal.keys import HIDDEN
from shoal.net.secret_file import read_secret

__all__ = ["TOKEN_FILE_VARIABLE", "TOKEN_VARIABLE", "HttpToken", "find_token"]

TOKEN_VARIABLE: Final = "SHOAL_HTTP_TOKEN"
TOKEN_FILE_VARIABLE: Final = "SHOAL_HTTP_TOKEN_FILE"

_LEAST_LENGTH: Final = 16
_SCHEME: Final = "Bearer "


class HttpToken:
    """A secret text; neither `repr` nor `str` shows it."""

    __slots__ = ("_header",)

    def __init__(self, text: str, source: str = "token") -> None:
        """`source` is what an error names. Raises `ConfigError` for a text that is too short or not printable ASCII."""
        if len(text) < _LEAST_LENGTH or not (text.isascii() and text.isprintable()) or " " in text:
            raise ConfigError(
                source,
                HIDDEN,
                f"a token has {_LEAST_LENGTH} or more printable ASCII characters without spaces; "
                "`shoal keygen` prints something that will do",
            )
        self._header = _SCHEME + text

    @property
    def header(self) -> str:
        """The value of the header `Authorization`."""
        return self._header

    def matches(self, header: str) -> bool:
        """Whether a request has this value in its header, in a time that tells nothing of where they differ."""
        return hmac.compare_digest(header.encode("latin-1", "replace"), self._header.encode())

    def __repr__(self) -> str:
        return "HttpToken(not shown)"


def find_token(path: str | None, environ: Mapping[str, str]) -> HttpToken | None:
    """The token in the file at `path`, or in the variables; None if there is none.

    Raises `ConfigError`, also where both are given. Warns of a file that others can read.
    """
    text = environ.get(TOKEN_VARIABLE)
    if path is not None:
        if text is not None:
            raise ConfigError("token file", path, f"{TOKEN_VARIABLE} is set too; keep one of the two")
        return HttpToken(read_secret("token file", path, "write a token into it").strip(), path)
    return None if text is None else HttpToken(text, TOKEN_VARIABLE)
