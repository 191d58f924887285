"""Send tasks along the compiled routes, run them, and get their results."""
