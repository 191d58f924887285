"""`AsyncResult`, and the stores that results come from: a reply queue or Redis.

What a result looks like on the wire stands in `messages`.
"""
