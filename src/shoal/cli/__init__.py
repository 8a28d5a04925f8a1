"""The command `shoal`."""

from shoal.errors import MissingExtraError

__all__ = ["main"]

_EXTRA_PACKAGES = ("click", "rich")


def main() -> None:
    """Run the command line of this process, and exit."""
    try:
        from shoal.cli.root import shoal  # noqa: PLC0415 - without its extra there shall be one line, no traceback

        shoal(prog_name="shoal")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA_PACKAGES:
            raise
        raise SystemExit(f"Error: {MissingExtraError('the command line', 'cli')}") from None
