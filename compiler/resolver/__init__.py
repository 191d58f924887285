"""Turns what was written into what was meant: names become the things that they stand for.

The only room that sees both the specification and the topology; neither YAML nor a broker's rules
belong here.
"""
