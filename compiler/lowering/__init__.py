"""Makes exchanges, queues and bindings of what the broker has no word for: carve-outs and delays.

It proves that they route as was meant. The broker's own rules of routing are in `routing`.
"""
