"""An application that lacks the code of one of its worker groups."""

from routewright.runtime import App
from routewright.runtime.router.route import Router

app = App(
    Router(topology="t", source="", target="memory", vhost=None, routes=(), groups=()),
    "memory://",
)


@app.task(name="a.image.Crop")
def crop() -> None: ...
