"""Limits of the AMQP protocol that a route keeps to, whatever the broker."""

MAX_SHORT_STRING = 255  # bytes: of a name, a routing key or an id
