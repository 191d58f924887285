"""Carries a plan out on a broker; the only room that calls what changes a broker.

What a plan consists of, and in which order, is decided in `planner`.
"""
