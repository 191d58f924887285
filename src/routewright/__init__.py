"""Routewright: a declared message topology, compiled into a router an application can trust."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("routewright")
except PackageNotFoundError:  # a source tree on the path, never installed
    __version__ = "0+unknown"
