"""Explanations: which part of the input a unit, or a class, answers to. A new method is one new file in `methods/`.

Every method is a `Method` (`base.py`), made for a network and one of its layers; its fields are its whole configuration.
"""
