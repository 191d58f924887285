"""Carries plans out: no other room calls what changes exchanges, queues, bindings or policies.

`broker` alone declares what is there already, to compare it, and the queues that lock a virtual
host. The steps of a plan, and their order,
are decided in `planner`.
"""
