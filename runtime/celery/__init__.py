"""Settings for a generated `celery_config.py`, under which Celery routes as the topology says.

Celery itself is not imported here.
"""

from routewright.runtime.celery.settings import CeleryAnnotations, CeleryRoutes, consumed

__all__ = ["CeleryAnnotations", "CeleryRoutes", "consumed"]
