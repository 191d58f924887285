"""Facts about RabbitMQ as tables, by release: arguments, policy keys, exchange types, targets.

Each line is pinned by a test on a broker. Rules that need a topology are in `checks`.
"""
