"""From a broker's URL to an open, verified connection within a bounded time.

Knows neither tasks nor what is sent over a connection. The compiler opens its connections here too.
"""
