"""A plan as a value: its changes and steps, the approvals that it needs, its text and its file.

Nothing here opens a connection or decides what is to be changed.
"""
