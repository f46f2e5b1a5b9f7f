"""What is blamed on a file, and what is not."""

import pytest

from pipelines.runs.guard import name_damaged_file


@pytest.mark.parametrize("error", [AttributeError, TypeError, NameError, RuntimeError])
def test_only_what_files_lead_to_is_blamed_on_a_file(tmp_path, error):
    with pytest.raises(error), name_damaged_file(tmp_path / "clusters.csv"):
        raise error("ours")
