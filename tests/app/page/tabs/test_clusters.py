"""What the form of the Clusters tab may not ask for."""

from dataclasses import replace

from app.page.tabs import clusters
from pipelines.data.images import write_failures


def test_a_list_of_images_elsewhere_is_not_taken(page, tmp_path):
    listed = page.access.roots[0] / "failures.txt"
    write_failures(listed, tmp_path / "secret", ["a.png"])
    asked = replace(clusters.USUAL, folder=str(listed))
    told = clusters._find(page, asked)
    assert any("outside of the folders" in str(part) for part in told)
    assert page.jobs.look() is None
