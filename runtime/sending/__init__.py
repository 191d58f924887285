"""Brings a message to the broker's confirm: a call's from its options, and a worker's once more.

Whether a task is tried again is decided here too, for tasks ask for it. Nothing here receives.
"""
