"""Brings a call from its options to a message that the broker has confirmed.

Nothing here runs a task, or receives one.
"""
