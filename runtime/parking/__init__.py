"""Puts messages aside that no worker can deal with, and shows them, puts them back or drops them.

When a message is parked is decided in `worker`.
"""
