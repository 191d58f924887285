"""Routewright: a declared message topology, compiled into a router an application can trust."""

# Written here and read by the build: asking the installed metadata outlasts many a command.
__version__ = "0.1.0"
