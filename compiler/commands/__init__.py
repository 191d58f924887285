"""The commands of `routewright`, one file each: arguments, printing, exit codes, progress.

What they do stands in the rooms below; a command calls one of their functions and shows the result.
"""
