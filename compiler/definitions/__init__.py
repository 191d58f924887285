"""Reads and writes RabbitMQ's JSON for exchanges, queues, bindings and policies.

Neither YAML nor a connection to a broker belongs here.
"""
