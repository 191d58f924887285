"""Renders diagnostics as text, JSON and SARIF.

What is wrong is found in `checks` and in the stages before them.
"""
