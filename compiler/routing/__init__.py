"""Finds where messages go by RabbitMQ's rules: from exchange to queues, and as dead letters.

The mathematics of single patterns is in `keys`.
"""
