"""The pictures of a run, and that nothing else is served in their place."""

import pytest


def test_every_picture_of_the_data_is_served_with_its_fixed_type(run, client, address):
    view = client.get(f"{address}/data").json()
    gifs = [row["gif"] for row in view["clusters"]]
    assert gifs == ["gifs/cluster_000.gif", "gifs/cluster_001.gif", "gifs/noise.gif"]
    thumbnails = view["images"]["thumbnail"]
    assert len(set(thumbnails)) == 10
    for names, kind, cache in [
        (gifs, "image/gif", "no-cache"),
        (thumbnails, "image/jpeg", "private, max-age=86400"),
    ]:
        for name in names:
            answer = client.get(f"{address}/{name}")
            assert answer.content == (run / name).read_bytes()
            assert answer.headers["content-type"] == kind
            assert answer.headers["cache-control"] == cache


def test_the_type_is_that_of_the_name_and_not_of_the_content(run, client, address):
    name = next((run / "thumbnails").iterdir()).name
    (run / "thumbnails" / name).write_text("<html><script>alert(1)</script>")
    answer = client.get(f"{address}/thumbnails/{name}")
    assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "name",
    [
        "page.html",
        "run.json",
        "status.json",
        "images.csv",
        "reduction.npz",
        "thumbnails/page.html",
        "thumbnails/0123456789abcdef01234567.html",
        "thumbnails/0123456789abcdef01234567.jpg.html",
        "thumbnails/0123456789ABCDEF01234567.jpg",
        "thumbnails/x0123456789abcdef01234567.jpg",
        "thumbnails/cluster_000.gif",
        "gifs/page.html",
        "gifs/cluster_000.gif.html",
        "gifs/cluster_000.gif%0A",
        "gifs/cluster_x.gif",
        "gifs/noise.jpg",
        "notes/cluster_000.gif",
        "download/cluster_000.gif",
        "download/page.html",
        "download/run.json",
        "download/gifs",
    ],
)
def test_what_the_tool_does_not_serve_is_not_served(run, client, address, name):
    file = run / name.replace("%0A", "\n").removeprefix("download/")
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        file.write_text("treasure")
    answer = client.get(f"{address}/{name}")
    assert answer.status_code == 404
    assert "treasure" not in answer.text


def test_links_that_leave_the_run_are_not_followed(tmp_path, run, client, address):
    (tmp_path / "outside").mkdir()
    for name in ("secret", "outside/cluster_007.gif"):
        (tmp_path / name).write_text("treasure")
    links = ["thumbnails/0123456789abcdef01234567.jpg", "gifs/cluster_009.gif", "labels.txt"]
    (run / "labels.txt").unlink()
    for name in links:
        (run / name).symlink_to(tmp_path / "secret")
    for name in ("thumbnails/0123456789abcdef01234567.jpg", "gifs/cluster_009.gif"):
        assert client.get(f"{address}/{name}").status_code == 404
    assert client.get(f"{address}/download/labels.txt").status_code == 404
    assert client.get(f"{address}/gifs.zip").status_code == 404
    (run / "gifs").rename(run / "before")
    (run / "gifs").symlink_to(tmp_path / "outside")
    assert client.get(f"{address}/gifs/cluster_007.gif").status_code == 404


def test_links_inside_the_run_are_followed(run, client, address):
    (run / "gifs" / "cluster_002.gif").symlink_to(run / "gifs" / "noise.gif")
    answer = client.get(f"{address}/gifs/cluster_002.gif")
    assert answer.content == (run / "gifs" / "noise.gif").read_bytes()


def test_a_run_that_is_reached_by_a_link_is_served(tmp_path, run, served, client):
    (tmp_path / "link").symlink_to(run)
    address = f"/run/{served.key(tmp_path / 'link')}"
    content = (run / "gifs" / "noise.gif").read_bytes()
    assert client.get(f"{address}/gifs/noise.gif").content == content


def test_a_folder_or_nothing_by_the_name_of_a_picture_is_not_served(run, client, address):
    (run / "gifs" / "cluster_003.gif").mkdir()
    for number in ("003", "004"):
        assert client.get(f"{address}/gifs/cluster_{number}.gif").status_code == 404


@pytest.mark.parametrize(
    "tail",
    [
        "gifs/%2e%2e%2fsecret",
        "gifs/%2e%2e/secret",
        "gifs/..%2f..%2fsecret",
        "gifs%2fcluster_000.gif%2f%2e%2e%2f%2e%2e%2fsecret",
        "%2e%2e/secret",
        "%2e%2e%2fsecret",
        "%2e%2e/cluster_000.gif",
        "%2e/cluster_000.gif",
        "download/%2e%2e%2fsecret",
        "download/..%5csecret",
        "download/%2fetc%2fpasswd",
        "thumbnails//0123456789abcdef01234567.jpg",
        "gifs/cluster_000.gif%00",
        "gifs/",
        "",
    ],
)
def test_tricks_with_paths_lead_nowhere(tmp_path, run, client, address, tail):
    for file in (tmp_path / "secret", run / "secret", tmp_path / "cluster_000.gif"):
        file.write_text("treasure")
    (run / "cluster_000.gif").write_text("treasure")
    answer = client.get(f"{address}/{tail}")
    assert answer.status_code == 404
    assert "treasure" not in answer.text
