"""Routewright: a declared message topology, compiled into a router an application can trust."""

# Written here and read by the build: to ask the installed metadata takes longer than many a command.
__version__ = "0.1.0"
