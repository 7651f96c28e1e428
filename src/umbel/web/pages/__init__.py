"""The pages of the dashboard, one a file, each with a ``router``. See :mod:`umbel.web.site`."""
