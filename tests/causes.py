"""Eyes with one of three causes of failure: dim, blurred or noisy."""

from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from examples.eye_drawing import draw_eye
from examples.sampling import sample_eyes

CAUSES = ("dim", "blurred", "noisy")


def spoil(place, eye, seed):
    """Draw an eye: the first ten dim, the next ten blurred, the last ten noisy."""
    pixels = draw_eye(replace(eye, light=0.06) if place < 10 else eye, seed=seed)
    if place >= 20:
        noise = np.random.default_rng(seed).normal(0, 45, pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    return image.filter(ImageFilter.GaussianBlur(4)) if 10 <= place < 20 else image


def draw_eyes(folder, count, seed, cause=None, first=0):
    """Draw eyes, plain or with one of the three causes; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for place, sample in enumerate(sample_eyes(count, seed=seed, complete=False)):
        eye = replace(sample, light=1.0, openness=32.0, head_yaw=190.0)
        name = f"{cause or 'plain'} {first + place:03d}.png"
        if cause:
            spoil(10 * CAUSES.index(cause), eye, [seed, place]).save(folder / name)
        else:
            Image.fromarray(draw_eye(eye, seed=[seed, place])).save(folder / name)
        names.append(name)
    return names
