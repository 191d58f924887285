"""Celery's wire forms: messages, results, events, and what they are encoded with.

Nothing here opens a connection.
"""
