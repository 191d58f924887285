"""The application of this runtime whose worker processes the tests start; imported there alone."""

import os
from importlib import import_module

from routewright.runtime import App

router = import_module(os.environ["WIRE_ROUTER"]).router
app = App(router, os.environ["WIRE_BROKER"])


@app.task(name="ours.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="ours.pid")
def pid(*_: object) -> int:
    return os.getpid()
