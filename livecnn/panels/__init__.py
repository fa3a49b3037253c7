"""Panels: what the figure is made of. A new panel is one new file here; its name is its kind, its class the kind in CamelCase.

A panel comes in two halves. The spec (a frozen pydantic model) is its whole configuration, the same on every screen.
The drawer, which the spec makes for one figure, owns the artists.
"""
