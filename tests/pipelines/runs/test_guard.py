"""Which errors are blamed on a damaged file, and which are not."""

import pytest

from pipelines.runs.guard import name_damaged_file


@pytest.mark.parametrize("error", [AttributeError, TypeError, NameError, RuntimeError])
def test_errors_that_no_file_causes_are_not_blamed_on_a_file(tmp_path, error):
    with pytest.raises(error), name_damaged_file(tmp_path / "clusters.csv"):
        raise error("ours")
