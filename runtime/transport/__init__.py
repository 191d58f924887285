"""Bytes and connections, over AMQP and Redis.

Nothing here knows a task.
"""
