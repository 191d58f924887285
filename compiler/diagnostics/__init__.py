"""Holds what a finding is made of: its code, its message, and its place in the source text.

How findings are found and how they are printed is the business of other rooms.
"""
