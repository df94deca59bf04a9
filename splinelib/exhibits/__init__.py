"""Records and measurements as the tables and figures that chapters show.

This package is on top: it uses every other, and none uses it.
"""
