"""Opens connections to a broker, reads what is there, and holds the calls that change it.

Which of these calls are made, and in which order, is decided in `planner` and `executor`.
"""
