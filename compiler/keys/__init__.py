"""The mathematics of routing keys: patterns, tables of patterns, and classes of keys.

Nothing here knows an exchange, a queue or a task.
"""
