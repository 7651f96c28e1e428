"""The API, one noun a file, each with a ``router`` below ``/api``. See :mod:`umbel.web.site`."""
