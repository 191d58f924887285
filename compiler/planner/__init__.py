"""Makes a plan from the topology that is wanted and the virtual host as it was read.

Nothing here opens a connection; plans are carried out in `executor`.
"""
