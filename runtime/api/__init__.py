"""The face for applications: `App`, `Task`, `TaskSet`, signatures.

How a call is sent stands in `sending`, and how a task is run in `worker`.
"""
