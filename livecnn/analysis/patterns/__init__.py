"""Summarize the units of some layers over many images, class by class: the numbers, and a picture of them."""
