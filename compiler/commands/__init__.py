"""The commands of `routewright`, one file each."""
