"""Holds what a topology file means: exchanges, queues, bindings, tasks, policies, durations.

Neither YAML nor pydantic belongs here, nor any rule of routing.
"""
