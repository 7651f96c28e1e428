"""The API of the dashboard: everything that its pages show, and everything that they do, for programs.

Its document is at ``api/openapi.json``; what is wrong is told by problem documents (RFC 9457). Lists come in pages:
each names the ``next`` one by an opaque cursor, so what comes meanwhile moves nothing. All values that come in are
bounded.
Nothing that a page does not show is shown here: arguments as the history keeps them, no message, no key.

A module here with a ``router`` is a noun of it; :mod:`umbel.web.site` finds and includes them.
"""
