"""A table of four images, saved for a test."""

PATHS = ("a.png", "b.png", "c.png", "d/e.png")
GOOD = "path,yaw,sky\na.png,1,grey\nb.png,2,blue\nc.png,3,grey\nd/e.png,4,grey\n"


def save(tmp_path, content, name="parameters.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file
