from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from pipelines.data import gif

ORANGE = (240, 120, 20)


def picture(number: int, width: int = 120, height: int = 90) -> Image.Image:
    """Blend three colours, other ones for every number, under a little noise."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[0:height, 0:width]
    first, right, down = random.uniform(0, 255, (3, 3))
    pixels = first + np.multiply.outer(x / width, right - first)
    pixels += np.multiply.outer(y / height, down - first)
    noise = random.normal(0, 2, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def pixels(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.convert("RGB"), np.float64)


def psnr(image: Image.Image, truth: Image.Image) -> float:
    error = float(np.mean((pixels(image) - pixels(truth)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def read(path: Path) -> tuple[list[Image.Image], list[int], int]:
    """Return a GIF's frames, the milliseconds of each, and its number of loops (0: for ever)."""
    with Image.open(path) as image:
        frames, durations = [], []
        for frame in ImageSequence.Iterator(image):
            frames.append(frame.convert("RGB"))
            durations.append(frame.info["duration"])
        return frames, durations, image.info["loop"]


# --- fit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "fitted_size"),
    [
        ((640, 480), (320, 240)),
        ((480, 640), (240, 320)),
        ((320, 100), (320, 100)),
        ((28, 14), (320, 160)),
        ((1, 1), (320, 320)),
        ((5000, 1), (320, 1)),
        ((1, 5000), (1, 320)),
        ((3, 2), (320, 213)),
    ],
)
def test_fit_makes_the_longer_side_as_long_as_asked(
    size: tuple[int, int], fitted_size: tuple[int, int]
) -> None:
    assert gif.fit(Image.new("RGB", size), 320).size == fitted_size


@pytest.mark.parametrize("size", [(960, 720), (80, 60)])
def test_fit_keeps_what_is_where(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "white")
    image.paste(ORANGE, (0, 0, size[0] // 2, size[1] // 2))
    thumbnail = gif.fit(image, 320)
    assert thumbnail.getpixel((80, 60)) == ORANGE
    for corner in ((240, 60), (80, 180), (240, 180)):
        assert thumbnail.getpixel(corner) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_fit_returns_rgb(mode: str) -> None:
    assert gif.fit(Image.new(mode, (10, 10)), 20).mode == "RGB"


def test_fit_averages_when_it_scales_down() -> None:
    checks = np.indices((400, 400)).sum(axis=0) % 2 * 255
    thumbnail = gif.fit(Image.fromarray(checks.astype(np.uint8)), 100)
    assert np.abs(pixels(thumbnail) - 127.5).max() < 10


def test_fit_refuses_a_side_below_one_pixel() -> None:
    with pytest.raises(ValueError, match="at least 1 px, received 0"):
        gif.fit(picture(0), 0)


def test_canvas_size_holds_every_image_and_no_more() -> None:
    assert gif.canvas_size([(640, 480), (100, 200), (64, 48)], 320) == (320, 320)
    assert gif.canvas_size([(640, 480), (1280, 720)], 320) == (320, 240)
    with pytest.raises(ValueError, match="received none"):
        gif.canvas_size([], 320)


# --- frame ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(200, 120), (120, 200), (7, 7)])
def test_frame_shows_the_whole_picture_above_the_strip(size: tuple[int, int]) -> None:
    image = picture(1, *size)
    thumbnail = gif.fit(image, 160)
    result = gif.frame(image, "ÅÉ_gjpqy/" * 9, side=160)
    assert result.size == (160, 160 + gif.STRIP_HEIGHT)
    left, top = (160 - thumbnail.width) // 2, (160 - thumbnail.height) // 2
    crop = result.crop((left, top, left + thumbnail.width, top + thumbnail.height))
    assert np.array_equal(pixels(crop), pixels(thumbnail))


def test_frame_fills_the_canvas_it_is_given() -> None:
    result = gif.frame(picture(1, 200, 100), "a.png", side=160, canvas=(170, 120))
    assert result.size == (170, 120 + gif.STRIP_HEIGHT)
    for corner in ((0, 0), (169, 0), (0, 119), (169, 119)):
        assert result.getpixel(corner) == gif.BACKGROUND


def test_frame_refuses_a_canvas_that_would_cut_the_picture() -> None:
    with pytest.raises(ValueError, match="at least 160 x 80 px, received 160 x 79"):
        gif.frame(picture(1, 200, 100), "a.png", side=160, canvas=(160, 79))


def strip(caption: str, width: int = 200) -> NDArray[np.float64]:
    return pixels(gif.frame(picture(1, 10, 10), caption, side=width))[width:]


def test_captions_are_read_on_the_strip() -> None:
    assert (strip("") == gif.STRIP_COLOUR).all()
    assert strip("a.png").max() > 180
    assert not np.array_equal(strip("a.png"), strip("b.png"))


def test_a_long_caption_keeps_its_end_and_the_margins() -> None:
    folders = "very/deep/folder/" * 20
    first, second = strip(f"{folders}cat_0001.png"), strip(f"{folders}cat_0002.png")
    assert not np.array_equal(first, second)
    assert np.array_equal(first, strip(f"another/{folders}cat_0001.png"))
    assert (first[:, -gif.MARGIN :] == gif.STRIP_COLOUR).all()
    assert not (first[:, -4 * gif.MARGIN : -gif.MARGIN] == gif.STRIP_COLOUR).all()
    ellipsis = slice(0, gif.MARGIN + 7)
    assert np.array_equal(first[:, ellipsis], strip("…")[:, ellipsis])


def test_a_caption_is_one_line() -> None:
    assert np.array_equal(strip("a\nb\u2028c"), strip("a?b?c"))


def test_a_caption_that_fits_is_not_shortened() -> None:
    assert not np.array_equal(strip("a/cat_0001.png"), strip("b/cat_0001.png"))


@pytest.mark.parametrize(
    "caption",
    [
        "日本語/画像.png",
        "مجلد/صورة.png",
        "🙂👩‍👩‍👧.png",
        "e\u0301\u0302\u0303.png",
        "line\nbreak\r\ttab.png",
        "half a pair \udcff.png",
        "\u202eright to left.png",
        "\x00",
        "長" * 500,
        "\n" * 500,
    ],
)
@pytest.mark.parametrize("width", [1, 9, 200])
def test_no_name_is_too_odd(caption: str, width: int) -> None:
    result = gif.frame(picture(1), caption, side=width)
    assert result.size == (width, width + gif.STRIP_HEIGHT)


# --- write_gif ------------------------------------------------------------------------------


def test_every_frame_comes_back_in_order_and_close_to_the_original(tmp_path: Path) -> None:
    originals = [picture(number) for number in range(12)]
    gif.write_gif(tmp_path / "a.gif", originals)
    frames, durations, loops = read(tmp_path / "a.gif")
    assert len(frames) == 12
    assert durations == [600] * 12
    assert loops == 0
    assert min(psnr(*pair) for pair in zip(frames, originals, strict=True)) > 34


def test_colours_are_at_most_1_db_worse_than_those_of_median_cut(tmp_path: Path) -> None:
    originals = [picture(number, 256, 256) for number in range(4)]
    random = np.random.default_rng(0)
    for number in range(2):
        noisy = pixels(picture(number, 256, 256)) + random.normal(0, 20, (256, 256, 3))
        originals.append(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)))
    gif.write_gif(tmp_path / "a.gif", originals)
    slow = [image.quantize(256, Image.Quantize.MEDIANCUT) for image in originals]
    ours = [psnr(*pair) for pair in zip(read(tmp_path / "a.gif")[0], originals, strict=True)]
    theirs = [psnr(*pair) for pair in zip(slow, originals, strict=True)]
    assert np.mean(ours[:4]) > np.mean(theirs[:4]) - 1
    assert np.mean(ours[4:]) > np.mean(theirs[4:]) - 1


def test_small_changes_between_frames_are_kept(tmp_path: Path) -> None:
    originals = [picture(0) for _ in range(5)]
    for number, image in enumerate(originals):
        image.paste(ORANGE, (10 * number, 20, 10 * number + 8, 28))
    gif.write_gif(tmp_path / "a.gif", originals)
    for number, image in enumerate(read(tmp_path / "a.gif")[0]):
        patches = [pixels(image)[21:27, 10 * n + 1 : 10 * n + 7] for n in range(5)]
        errors = [np.abs(patch - ORANGE).mean() for patch in patches]
        assert errors[number] < 12
        assert min(errors[:number] + errors[number + 1 :]) > 30


def test_equal_images_are_frames_of_their_own(tmp_path: Path) -> None:
    gif.write_gif(tmp_path / "a.gif", [picture(n) for n in (1, 1, 1, 2, 2)])
    frames, durations, loops = read(tmp_path / "a.gif")
    assert durations == [600] * 5
    assert loops == 0
    assert min(psnr(frames[i], picture(n)) for i, n in enumerate((1, 1, 1, 2, 2))) > 34


def test_one_image_is_one_frame_that_loops(tmp_path: Path) -> None:
    gif.write_gif(tmp_path / "a.gif", [picture(1)])
    frames, durations, loops = read(tmp_path / "a.gif")
    assert (len(frames), durations, loops) == (1, [600], 0)
    assert (tmp_path / "a.gif").read_bytes().endswith(b"\0;")  # Pillow reads files cut off, too


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (300, 2), (640, 480)])
def test_any_size_and_few_colours(tmp_path: Path, size: tuple[int, int]) -> None:
    colours = [(0, 0, 0), (255, 255, 255), ORANGE, ORANGE, (0, 0, 255)]
    gif.write_gif(tmp_path / "a.gif", [Image.new("RGB", size, colour) for colour in colours])
    frames, durations, _ = read(tmp_path / "a.gif")
    assert durations == [600] * 5
    for image, colour in zip(frames, colours, strict=True):
        assert image.size == size
        assert np.abs(pixels(image) - colour).max() <= 1


@pytest.mark.parametrize(("rate", "duration"), [(100, 600), (60, 1000), (600, 100), (3000, 20)])
def test_the_rate_is_in_frames_a_minute(tmp_path: Path, rate: int, duration: int) -> None:
    gif.write_gif(tmp_path / "a.gif", [picture(1), picture(2)], frames_per_minute=rate)
    assert read(tmp_path / "a.gif")[1] == [duration] * 2


@pytest.mark.parametrize("rate", [0, -1, 3001])
def test_a_rate_the_format_cannot_hold_is_refused(tmp_path: Path, rate: int) -> None:
    with pytest.raises(ValueError, match=f"received {rate}"):
        gif.write_gif(tmp_path / "a.gif", [picture(1)], frames_per_minute=rate)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.gif", "b.gif"):
        gif.write_gif(tmp_path / name, [picture(number) for number in range(4)])
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_one_frame_at_a_time_is_taken_from_a_generator(tmp_path: Path) -> None:
    sizes: list[int] = []

    def frames() -> Iterator[Image.Image]:
        for number in range(40):
            (temporary,) = tmp_path.iterdir()
            sizes.append(temporary.stat().st_size)
            yield picture(number)

    gif.write_gif(tmp_path / "a.gif", frames())
    assert len(read(tmp_path / "a.gif")[0]) == 40
    assert 0 < sizes[20] < sizes[-1]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "received none"),
        (
            [picture(1), picture(1, 121)],
            "of 120x90 px, received frame 2 in RGB of 121x90 px",
        ),
        ([Image.new("L", (5, 5))], "received frame 1 in L of 5x5 px"),
        ([picture(1), picture(1).convert("P")], "received frame 2 in P of 120x90 px"),
    ],
)
def test_wrong_frames_raise_and_leave_the_old_file(
    tmp_path: Path, frames: list[Image.Image], message: str
) -> None:
    (tmp_path / "a.gif").write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        gif.write_gif(tmp_path / "a.gif", frames)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]
    assert (tmp_path / "a.gif").read_bytes() == b"old"


def test_an_exception_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    def frames() -> Iterator[Image.Image]:
        yield picture(1)
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        gif.write_gif(tmp_path / "a.gif", frames())
    assert list(tmp_path.iterdir()) == []
