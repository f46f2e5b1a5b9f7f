"""The files of a retraining, where the job that writes them is killed."""

from pipelines.retraining.files import OUTPUTS, write_model
from pipelines.retraining.results import MODEL_FILE
from pipelines.runs.files import remove_outputs
from tests.killed import kill_before


class Model:
    """Writes any bytes, in the place of Keras."""

    def save(self, file):
        assert file.suffix == ".keras"  # Keras chooses the format by it
        file.write_bytes(b"half a model")


def test_what_a_killed_job_left_of_a_model_goes_with_the_run_that_is_overwritten(tmp_path):
    assert kill_before(0, lambda: write_model(Model(), tmp_path / MODEL_FILE))
    (left,) = tmp_path.iterdir()
    assert left.name != MODEL_FILE
    remove_outputs(tmp_path, OUTPUTS)
    assert not list(tmp_path.iterdir())
