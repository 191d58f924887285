"""Brings a delivery from the wire to its acknowledgement: consumes, runs tasks, retries, parks.

Nobody imports this room but the face of the runtime and `routewright worker`.
"""
