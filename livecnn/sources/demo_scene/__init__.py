"""TODO demo_scene."""
