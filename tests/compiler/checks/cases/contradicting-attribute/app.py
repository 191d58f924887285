"""An application that does not agree with its topology."""

from routewright.runtime import App
from routewright.runtime.router.route import Router

app = App(
    Router(topology="t", source="", target="memory", vhost=None, routes=(), groups=()),
    "memory://",
)


@app.task(name="a.Crop", priority=9)
def crop() -> None: ...


@app.task(name="a.Turn", priority=9)
def turn() -> None: ...
