"""Sends the tasks to running worker groups, and shows what became of them."""

import sys
import time
from pathlib import Path

from groups import DemoFailed, Groups, wait
from media import CompressVideo, CropImage, Done, RotateImage, app, update_recommendations
from media_routing import declare
from processes import Processes
from rich.console import Console
from rich.table import Table
from threads import Threads

from routewright.runtime import AsyncResult

HERE = Path(__file__).resolve().parent
FILES, OUT = HERE / "files", HERE / "out"
PATIENCE = 60.0  # seconds; for the results, and for the broker until it drops a task nobody has run
PIPE_WIDTH = 140  # columns, where no terminal says how many there are


class Sent:
    """A task under way, and the seconds from its sending until its result was here."""

    def __init__(self, result: AsyncResult[Done]) -> None:
        self.result = result
        self.sent = time.monotonic()
        self.took: float | None = None


def send_and_show() -> None:
    """Start the worker groups, send the tasks, show the results, stop the workers.

    Raises:
        DemoFailed, RoutewrightError: something did not go as it should.
    """
    OUT.mkdir(exist_ok=True)
    for file in OUT.iterdir():
        file.unlink()
    with app, worker_groups() as groups:
        tasks = send_tasks()
        wait(lambda: have_ended(tasks), groups.check, PATIENCE, "some results do not come")
        show(tasks, groups)
    if app.broker.is_amqp:
        print(f"The exchange and the queues stay on {app.broker.name}, and are empty.")


def worker_groups() -> Groups:
    if not app.broker.name.startswith("memory:"):
        return Processes(app, logs=OUT)
    with app.broker.connect() as connection:
        declare(connection)
    return Threads(app)


def send_tasks() -> list[Sent]:
    """Send each task; nothing here says to which exchange or queue, nor with which key."""
    clip, photo, ratings = (str(FILES / name) for name in ("clip.y4m", "photo.jpg", "ratings.csv"))
    packed, turned, cropped, films = (
        str(OUT / name)
        for name in ("clip.y4m.xz", "rotated.jpg", "cropped.jpg", "recommendations.json")
    )
    box = (300, 50, 540, 230)
    return [
        Sent(CompressVideo.apply_async([clip, packed], expires=PATIENCE)),
        Sent(RotateImage.apply_async([photo, turned], {"degrees": 90}, expires=PATIENCE)),
        Sent(CropImage.apply_async([photo, cropped], {"box": box}, expires=PATIENCE)),
        Sent(update_recommendations.apply_async([ratings, films], expires=PATIENCE)),
    ]


def have_ended(tasks: list[Sent]) -> bool:
    for task in tasks:
        if task.took is None and task.result.ready():
            task.took = time.monotonic() - task.sent
    return all(task.took is not None for task in tasks)


def show(tasks: list[Sent], groups: Groups) -> None:
    """Print what became of the tasks, and where their files are.

    Raises:
        DemoFailed: a task failed, or its file is not there.
    """
    table = Table(box=None, pad_edge=False)
    for title in ("task", "exchange", "key", "queue", "worker", "result", "time"):
        table.add_column(title, overflow="fold")
    files: list[Path] = []
    for task in tasks:
        name, done = task.result.task, value(task.result)
        route = app.router.tasks[name]
        table.add_row(
            name,
            route.exchange,
            route.routing_key,
            ", ".join(route.queues),
            groups.ran(done),
            done["summary"],
            f"{task.took:.2f} s",
        )
        files.append(Path(done["file"]))
    for file in files:
        if not file.is_file() or not file.stat().st_size:
            raise DemoFailed(f"{file} should be there and is not")
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False).print(table)
    print(f"Written in {OUT}: {', '.join(file.name for file in files)}")


def value(result: AsyncResult[Done]) -> Done:
    try:
        return result.get()
    except Exception as error:
        raise DemoFailed(f"{result.task} failed: {type(error).__name__}: {error}") from error
