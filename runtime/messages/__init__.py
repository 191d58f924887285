"""Messages as they are on the wire: Celery's tasks, results and events, and orders to workers.

Names, limits and texts that belong to these are here too. Nothing here opens a connection.
"""
