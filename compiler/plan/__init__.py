"""A plan as a value: its changes and steps, approvals, text and file, and the host it was made for.

Nothing here opens a connection or decides what is to be changed.
"""
