"""Makes the example's files: a photograph-like landscape, a clip of it, and ratings.

Everything is drawn or drawn by lot from a fixed seed; nobody else's work is in it.
"""

import csv
from collections.abc import Iterator
from math import exp, sin
from pathlib import Path
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

FILES = Path(__file__).parent / "files"
PHOTO_SIZE = (600, 400)
CLIP_SIZE = (128, 72)
FRAMES = 20
RIDGES = ((0.55, (128, 140, 168)), (0.66, (86, 104, 120)), (0.78, (46, 70, 62)))
FILMS = {
    "sea": ("Tide Tables", "The Lighthouse Shift", "Salt", "Harbour Lights", "Nine Fathoms"),
    "space": ("Perihelion", "A Quiet Orbit", "The Long Vacuum", "Signal Lost", "Dust of Ceres"),
    "kitchen": ("Slow Bread", "The Last Lemon", "Copper Pans", "A Pinch of Salt", "Table for Six"),
    "crime": ("The Blue Ledger", "Alibi Street", "Cold Receipt", "Nobody's Keys", "Half a Witness"),
}
USERS = 60


def main() -> None:
    FILES.mkdir(exist_ok=True)
    photo = with_grain(landscape(PHOTO_SIZE, sun=(0.7, 0.3)), Random(1))  # noqa: S311  no secret
    photo.save(FILES / "photo.jpg", quality=85)
    with (FILES / "clip.y4m").open("wb") as file:
        file.writelines(y4m(sunrise()))
    with (FILES / "ratings.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(ratings(Random(2)))  # noqa: S311


def landscape(size: tuple[int, int], sun: tuple[float, float]) -> Image.Image:
    """Hills under an evening sky; the sun's place is in parts of the picture's width and height."""
    width, height = size
    image = Image.new("RGB", size)
    draw = ImageDraw.Draw(image)
    for y in range(height):
        low = y / height
        colour = (int(70 + 170 * low), int(120 + 70 * low), int(190 - 60 * low))
        draw.line([(0, y), (width, y)], colour)
    x, y, radius = sun[0] * width, sun[1] * height, height / 14
    glow = Image.new("RGB", size)
    ImageDraw.Draw(glow).circle((x, y), radius, (255, 230, 170))
    image = ImageChops.screen(image, glow.filter(ImageFilter.GaussianBlur(radius)))
    image = ImageChops.screen(image, glow.filter(ImageFilter.GaussianBlur(1)))
    draw = ImageDraw.Draw(image)
    for number, (top, colour) in enumerate(RIDGES):
        for column in range(width):
            crest = height * (top + hill(column / width, number))
            draw.line([(column, crest), (column, height)], colour)
    return image


def hill(x: float, ridge: int) -> float:
    waves = ((3, 0.05), (7, 0.03), (17, 0.012), (41, 0.005))
    return sum(depth * sin(wave * x * 3 + ridge * (wave + 2)) for wave, depth in waves)


def with_grain(image: Image.Image, lot: Random) -> Image.Image:
    """Speckled as by a camera's sensor, more where it is dark, and darker towards the edges."""
    width, height = image.size

    def shade(x: int, y: int) -> int:
        edge = (x / width - 0.5) ** 2 + (y / height - 0.5) ** 2
        return min(255, max(0, int(128 - 60 * edge + lot.gauss(0, 6))))

    grain = Image.new("L", image.size)
    grain.putdata([shade(x, y) for y in range(height) for x in range(width)])
    return ImageChops.overlay(image, grain.convert("RGB"))


def sunrise() -> Iterator[Image.Image]:
    for frame in range(FRAMES):
        risen = 1 - exp(-3 * frame / FRAMES)
        yield landscape(CLIP_SIZE, sun=(0.2 + 0.5 * frame / FRAMES, 0.7 - 0.5 * risen))


def y4m(frames: Iterator[Image.Image]) -> Iterator[bytes]:
    """Uncompressed video: a line of header, then the planes of each frame."""
    width, height = CLIP_SIZE
    yield f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode()
    for frame in frames:
        light, blue, red = frame.convert("YCbCr").split()
        halves = [plane.resize((width // 2, height // 2)) for plane in (blue, red)]
        yield b"FRAME\n" + b"".join(plane.tobytes() for plane in (light, *halves))


def ratings(lot: Random) -> Iterator[tuple[object, ...]]:
    """Each user likes one kind of film and has seen most of it, and some of the others."""
    yield "user", "film", "stars"
    for number in range(USERS):
        liked = lot.choice(list(FILMS))
        for kind, films in FILMS.items():
            for film in lot.sample(films, 4 if kind == liked else lot.randint(0, 2)):
                stars = lot.choice((4, 5)) if kind == liked else lot.choice((1, 2, 3))
                yield f"user-{number + 1:02}", film, stars


if __name__ == "__main__":
    main()
