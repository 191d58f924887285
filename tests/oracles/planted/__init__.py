"""Defects planted in sound topologies, each with the code that must be reported for it.

A planting knows one kind of slip and finds every place of a topology to make it in. Whether a slip
is the defect that it should be is decided here without the compiler's own reasoning: by how it is
made, or by brute force.
"""
