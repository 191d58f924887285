"""Settings under which Celery routes as the topology says, for the generated `celery_config.py`.

Celery itself is not imported here.
"""
