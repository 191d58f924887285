"""An application whose tasks work on real files; no line of it says where a task is sent."""

import csv
import json
import lzma
import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import hypot
from pathlib import Path
from typing import TypedDict

from media_routing import router
from PIL import Image

from routewright.runtime import App, Task

app = App(router)


class Done(TypedDict):
    """What a task returns: the file it wrote, a word on it, and where it ran."""

    file: str
    summary: str
    process: int
    thread: str


class CompressVideo(Task):
    """Compress a clip, byte for byte."""

    app = app

    def run(self, clip: str, target: str) -> Done:
        with Path(clip).open("rb") as source, lzma.open(target, "wb") as packed:
            shutil.copyfileobj(source, packed)
        before, after = Path(clip).stat().st_size, Path(target).stat().st_size
        return done(target, f"{before:,} to {after:,} bytes")


class RotateImage(Task):
    """Turn a photograph, counter-clockwise, and make room for its corners."""

    app = app

    def run(self, photo: str, target: str, degrees: float) -> Done:
        with Image.open(photo) as image:
            turned = image.rotate(degrees, expand=True)
        turned.save(target, quality=90)
        return done(target, f"{size(image)} to {size(turned)}")


class CropImage(Task):
    """Keep a part of a photograph: left, top, right and bottom edge in pixels."""

    app = app

    def run(self, photo: str, target: str, box: Sequence[int]) -> Done:
        left, top, right, bottom = box
        with Image.open(photo) as image:
            cropped = image.crop((left, top, right, bottom))
        cropped.save(target, quality=90)
        return done(target, f"{size(image)} to {size(cropped)}")


@app.task(name="media.UpdateRecommendations")
def update_recommendations(ratings: str, target: str, count: int = 3) -> Done:
    """Recommend to each user the films most like those they gave stars to."""
    stars: dict[str, dict[str, int]] = defaultdict(dict)
    with Path(ratings).open(newline="") as file:
        for row in csv.DictReader(file):
            stars[row["film"]][row["user"]] = int(row["stars"])
    users = sorted({user for given in stars.values() for user in given})
    found = {user: recommend(user, stars, count) for user in users}
    Path(target).write_text(json.dumps(found, indent=2) + "\n")
    return done(target, f"{count} films for {len(users)} users")


def recommend(user: str, stars: Mapping[str, Mapping[str, int]], count: int) -> list[str]:
    """The films unknown to a user whose ratings are closest to those of the known ones."""
    known = {film: given[user] for film, given in stars.items() if user in given}
    scores = {
        film: sum(weight * likeness(stars[film], stars[other]) for other, weight in known.items())
        for film in stars
        if film not in known
    }
    return sorted(scores, key=lambda film: (-scores[film], film))[:count]


def likeness(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """The cosine of the angle between two films' ratings."""
    common = sum(one[user] * other[user] for user in one.keys() & other.keys())
    return common / (hypot(*one.values()) * hypot(*other.values()))


def size(image: Image.Image) -> str:
    return f"{image.width}x{image.height}"


def done(target: str, summary: str) -> Done:
    return Done(
        file=target,
        summary=summary,
        process=os.getpid(),
        thread=threading.current_thread().name,
    )
