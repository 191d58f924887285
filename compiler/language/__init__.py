"""Defines what may be written in a topology file, and reads it.

The only room that reads YAML and uses pydantic. What a name stands for is found in `resolver`.
"""
