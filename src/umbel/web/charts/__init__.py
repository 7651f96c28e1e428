"""Charts as SVG, made by the server: pure functions from numbers to markup, coloured by classes alone."""
