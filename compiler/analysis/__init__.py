"""Answers what a person asks of a topology: where a key goes, and what two topologies differ in.

Answers are values: nothing here prints, and nothing here talks to a broker.
"""
