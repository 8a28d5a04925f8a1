import pytest
from click.testing import CliRunner

from shoal.cli.root import shoal


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "3601"])
def test_an_agent_takes_no_grace_that_is_no_time(number: str) -> None:
    result = CliRunner().invoke(shoal, ["agent", "--grace", number])

    assert result.exit_code == 2
    assert "Invalid value for '--grace': " in result.output
