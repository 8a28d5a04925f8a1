import logging

import pytest

from shoal.cli.warnings import telling_warnings

log = logging.getLogger("shoal.net")


def test_a_warning_is_one_line_on_standard_error_and_what_is_less_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with telling_warnings():
        log.warning("%r: other users may read it; chmod 600 it\x1b[2J", "a")
        log.info("nothing to worry about")
    assert capsys.readouterr() == ("", "Warning: 'a': other users may read it; chmod 600 it\\x1b[2J\n")


def test_nothing_is_told_afterwards_also_when_it_ended_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="no file"), telling_warnings():
        raise OSError("no file")
    log.warning("%r: too late; ignore it", "a")
    assert capsys.readouterr() == ("", "")
